"""A revoked token after a restart, on every log: in memory it is forgotten, elsewhere it is not."""

from __future__ import annotations

import httpx

from tests.support.servers.live_server import LiveServer, live_server, token

JTI = "stolen"


def ask(server: LiveServer, sub: str, token_id: str = "") -> int:
    """The status of a request with this token."""
    headers = {"Authorization": f"Bearer {token(sub, token_id=token_id or sub)}"}
    return httpx.get(f"{server.url}/api/v1/rooms", headers=headers, trust_env=False).status_code


def admin(server: LiveServer, method: str, path: str, body: object = None) -> int:
    """Ask as an administrator."""
    headers = {"Authorization": f"Bearer {token('root', scope='admin')}"}
    return httpx.request(method, server.url + path, headers=headers, json=body, trust_env=False).status_code


def test_what_is_revoked_stays_revoked(store_url: str) -> None:
    with live_server(store=store_url) as server:
        assert ask(server, "7", token_id=JTI) == ask(server, "8") == ask(server, "9") == 200
        assert admin(server, "POST", "/api/v1/revocations", {"jti": JTI}) == 201
        assert admin(server, "POST", "/api/v1/revocations", {"user": "8"}) == 201
        assert admin(server, "DELETE", "/api/v1/users/9/connections?stay_away_s=600") == 200
        assert (ask(server, "7", token_id=JTI), ask(server, "9")) == (401, 403)
    with live_server(store=store_url) as server:
        forgets = store_url == "memory:"
        assert ask(server, "7", token_id=JTI) == (200 if forgets else 401)
        assert ask(server, "9") == (200 if forgets else 403)
        assert ask(server, "7", token_id="another") == 200
        revoked = server.ask(lambda realtime: len(realtime._revoked))
        assert revoked == (0 if forgets else 3)
