"""Puts the server together: `create_app` makes a whole one, `realtime_router` a part of another application.

from fastapi import FastAPI
from rtcli_server import Settings, realtime_router

app = FastAPI()
app.include_router(realtime_router(Settings(secrets=[SECRET])))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.websockets import WebSocket

from rtcli_server.api import api_router, install_problem_handlers
from rtcli_server.api.page import page_router
from rtcli_server.http_routes import HttpRoute, add_slash_route
from rtcli_server.metrics.exposition import Exposition
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import RealtimeServer
from rtcli_server.redaction import install_redaction
from rtcli_server.settings import Settings
from rtcli_server.transports.cors import Cors
from rtcli_server.transports.sse.endpoints import stream_router
from rtcli_server.transports.websocket.asgi_endpoint import answer_handshake, websocket_router

Lifespan: TypeAlias = AbstractAsyncContextManager[None]


def realtime_router(settings: Settings) -> APIRouter:
    """Make a router with everything but the page; its lifespan starts and stops the server.

    Raises what `RealtimeServer` raises.
    """
    return embedded_router(RealtimeServer(settings))


def embedded_router(server: RealtimeServer) -> APIRouter:
    """Make the router of a server in somebody else's process, whose logs get no token from here on."""
    install_redaction()

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        install_redaction()  # the handlers of the application are there by now
        async with _running(server):
            yield

    return _new_router(server, lifespan)


@asynccontextmanager
async def _running(server: RealtimeServer) -> AsyncIterator[None]:
    await server.start()
    try:
        yield
    finally:
        await server.stop()


def _new_router(server: RealtimeServer, lifespan: Callable[[object], Lifespan]) -> APIRouter:
    router = APIRouter(lifespan=lifespan, redirect_slashes=False)
    router.include_router(websocket_router(server))
    router.include_router(stream_router(server))
    router.include_router(api_router(server, rates=server.user_rates))
    router.include_router(_health_router(server))
    add_slash_route(router)
    return router


def create_app(settings: Settings, realtime: RealtimeServer | None = None) -> FastAPI:
    """Make a whole server as an ASGI application, with the page. Raises what `RealtimeServer` raises.

    `realtime` is for tests and for the runner, which has its own logs; without it, one is made of `settings`.
    """
    services = realtime or RealtimeServer(settings)
    app = FastAPI(title="rtcli server", docs_url=None, redoc_url=None, redirect_slashes=False)
    router = (
        embedded_router(services) if realtime is None else _new_router(services, lambda _: _running(services))
    )
    app.include_router(router)
    app.include_router(page_router())
    app.add_api_websocket_route("/{path:path}", _unknown_websocket)
    install_problem_handlers(app)
    app.add_middleware(Cors, origins=services.origins)
    app.state.realtime = services
    return app


async def _unknown_websocket(websocket: WebSocket) -> None:
    await answer_handshake(websocket, ProblemError(404))


def _health_router(realtime: RealtimeServer) -> APIRouter:
    router = APIRouter(tags=["operations"], route_class=HttpRoute)
    exposition = Exposition(realtime)

    @router.get("/healthz")
    async def healthz() -> Response:
        """Answer that the process is alive."""
        return JSONResponse({"status": "alive"})

    @router.get(
        "/readyz", responses={503: {"description": "The log does not take publications, or it drains"}}
    )
    async def readyz() -> Response:
        """Answer whether the server takes connections: the log answers, all runs, and nothing drains."""
        ready = await realtime.ready()
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Give the metrics in the text format of Prometheus, or as OpenMetrics when that is asked for."""
        log_ready = await realtime.broker.ready()
        text, content_type = exposition.write(request.headers.get("accept", ""), log_ready=log_ready)
        return Response(text, headers={"content-type": content_type})

    return router
