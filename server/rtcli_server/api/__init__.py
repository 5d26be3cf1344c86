"""The HTTP API (protocol.md, section 5): publish, read the log, list rooms and members, kick.

    app.include_router(api_router(services, rates=UserRates(100.0, 200.0)))
    install_problem_handlers(app)

Every route of the router checks the token first: see `access`.

From outside: the names below, `page`, and for applications that embed the server `models`, `publishing`,
`reading` and `router`.
"""

from __future__ import annotations

from rtcli_server.api.answers import install_problem_handlers
from rtcli_server.api.router import api_router
from rtcli_server.api.services import ApiServices

__all__ = ["ApiServices", "api_router", "install_problem_handlers"]
