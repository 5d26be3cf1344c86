"""The chat page and its files, from `rtcli_server/web/`. They contain nothing that needs a token."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rtcli_server.http_routes import HttpRoute

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/rtclient.js": ("rtclient.js", "text/javascript; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
HEADERS = {
    # Only files of this server, no inline script or style; 'self' includes the WebSocket of the same host.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the URL may contain a token for a moment
    "x-content-type-options": "nosniff",
}


def page_router() -> APIRouter:
    """Make the routes of the page."""
    folder = files("rtcli_server").joinpath("web")
    answers = {
        path: (folder.joinpath(name).read_bytes(), {**HEADERS, "content-type": media_type})
        for path, (name, media_type) in FILES.items()
    }

    async def serve(request: Request) -> Response:
        body, headers = answers[request.scope["path"]]
        return Response(body, headers=headers)

    router = APIRouter(include_in_schema=False, route_class=HttpRoute)
    for path in FILES:
        router.add_api_route(path, serve, methods=["GET"])
    return router
