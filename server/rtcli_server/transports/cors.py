"""CORS for the HTTP API and the event streams, by the same list of allowed origins as admission.

WHATWG Fetch, section 3.2. Never `*`: an answer is for the origin that asked, with credentials. An origin in
another spelling (case, the default port) is the same origin, here as in admission.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtcli_server.auth.origins import OriginPolicy, OriginVerdict
from rtcli_server.problems import ProblemError

MAX_AGE_S = 600
PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, POST, DELETE",
    # Pages may send Last-Event-ID without asking when its value is simple; older browsers and libraries ask.
    "access-control-allow-headers": "Authorization, Cache-Control, Content-Type, Last-Event-ID",
    "access-control-max-age": str(MAX_AGE_S),
}


class Cors:
    """Middleware that answers preflights, and lets allowed pages read the answers to their requests."""

    def __init__(self, app: ASGIApp, origins: OriginPolicy) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass WebSockets on: browsers send no preflight for them, and admission checks their origin."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        values = headers.getlist("origin")
        is_allowed = self._origins.check(values) is OriginVerdict.ALLOWED
        allowing = _allowing(values[0]) if is_allowed else {}
        if scope["method"] == "OPTIONS" and values and "access-control-request-method" in headers:
            await _preflight(allowing)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(allowing)
                answer.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _allowing(origin: str) -> dict[str, str]:
    """Headers that allow `origin`, exactly as the browser wrote it: the browser compares the bytes."""
    return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}


def _preflight(allowing: dict[str, str]) -> Response:
    if allowing:
        return Response(status_code=204, headers={**allowing, **PREFLIGHT, "vary": "Origin"})
    problem = ProblemError(403, detail="This origin is not allowed", headers={"vary": "Origin"})
    return Response(problem.body(), problem.status, problem.headers())
