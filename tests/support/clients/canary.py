"""Brings a token to every door of a server, in every way in which one can be given."""

from __future__ import annotations

import contextlib
import json

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect


def visit(port: int, token: str) -> None:
    """Bring the token to every door, in every way."""
    base = f"127.0.0.1:{port}"
    bearer = {"Authorization": f"Bearer {token}"}
    for path in ("/api/v1/ws", "/api/v1/ws/v2", "/api/v1/nothing"):
        for query, headers in (
            (f"?token={token}", {}),
            ("", bearer),
            (f"?token={token}", bearer),
            ("", {"Sec-WebSocket-Protocol": f"rt.v1, bearer.{token}"}),
            ("", {"Sec-WebSocket-Protocol": f"bearer.{token}"}),
            ("", {"Cookie": f"rt_token={token}", "Origin": f"http://{base}"}),
            (f"?token={token}", {"Origin": f"http://{token}.example"}),
        ):
            with (
                contextlib.suppress(InvalidStatus, WebSocketException, TimeoutError),
                connect(f"ws://{base}{path}{query}", additional_headers=headers, proxy=None) as socket,
            ):
                socket.recv(timeout=5)
                socket.send(json.dumps({"type": "refresh", "data": {"token": token}}))
                socket.send(f'{{"token": "{token}", broken')
                socket.recv(timeout=5)
    # A server may end a connection with whose body it does nothing: each request has one of its own.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://{base}", trust_env=False, timeout=10, limits=limits) as client:
        for path in ("/api/v1/rooms", "/nothing", "/api/v1/batch", "/api/v1/sse/stream/x", "/metrics"):
            for query, headers in (
                (f"?token={token}", {}),
                ("", bearer),
                ("", {"Cookie": f"rt_token={token}"}),
            ):
                client.get(path + query, headers=headers)
                client.post(path + query, headers=headers, json={"token": token})
        with client.stream("GET", f"/api/v1/events/stream?room=a&token={token}") as stream:
            next(stream.iter_raw(), None)
