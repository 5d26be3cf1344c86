"""Draining: every client is told when to reconnect, and clients that do not read cannot delay the end."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.support.clients.raw_http import CLOSE, RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws
from tests.support.servers.live_server import live_server, token

TIMEOUT_S = 3.0


def test_everyone_is_told_when_to_come_back(fast: bool) -> None:
    delays = set()
    settings = {"drain_timeout_s": TIMEOUT_S, "retry_spread_s": 10.0}
    with ExitStack() as clients, live_server(fast_websockets=fast, **settings) as server:
        sockets = [clients.enter_context(open_ws(server)) for _ in range(20)]
        streams = [clients.enter_context(EventStream(server.port)) for _ in range(10)]
        heartbeats = clients.enter_context(EventStream(server.port, path="/api/v1/sse/stream"))
        for stream in streams:
            stream.until("ready")
        heartbeats.until("heartbeat")
        server.stop_soon()
        for ws in sockets:
            closing = ws.until("closing")["data"]
            assert closing["code"] == 1012
            delays.add(closing["retry_after_ms"])
            close = ws.close_frame()
            assert close is not None
            assert close.code == 1012
            ws.send_frame(CLOSE, close.payload[:2])
            assert ws.frame() is None
        for stream in [*streams, heartbeats]:
            data = stream.json("closing")
            assert data["code"] == 1012
            assert stream.retry_ms == data["retry_after_ms"]
            delays.add(data["retry_after_ms"])
            assert stream.event() is None
    assert len(delays) > 25  # each client has its own delay


def test_it_is_over_in_time_with_clients_that_never_read(fast: bool) -> None:
    with ExitStack() as clients:
        settings = {"send_budget_bytes": 65_536, "rate_limit_per_s": None, "slow_deadline_s": 60.0}
        with live_server(fast_websockets=fast, drain_timeout_s=TIMEOUT_S, **settings) as server:
            quick = clients.enter_context(open_ws(server, "1"))
            join(quick, "a")
            for _ in range(5):
                frozen = clients.enter_context(open_ws(server, "2"))
                join(frozen, "a")
                stream = EventStream(server.port, rooms=("a",))
                clients.enter_context(stream).until("ready")
                clients.enter_context(open_ws(server, "3"))  # does not read either, but nothing is sent to it
            for number in range(1_000):
                quick.send("chat_message", f"{number}", room="a", content="x" * 8_000)
                quick.until("ack")
            server.wait_until(lambda realtime: len(realtime.slow_consumers) == 10)
            started = time.monotonic()
        assert time.monotonic() - started < TIMEOUT_S + 5.0  # for a busy machine


def test_a_draining_server_is_not_ready_and_takes_nobody(fast: bool) -> None:
    with live_server(fast_websockets=fast, drain_timeout_s=TIMEOUT_S) as server:
        server.ask(lambda realtime: setattr(realtime.hub, "draining", True))
        with RawWebSocket(server.port, f"/api/v1/ws?token={token()}") as ws:
            assert ws.message()["data"]["code"] == 1012
            close = ws.close_frame()
            assert close is not None
            assert close.code == 1012
        for path in ("/api/v1/events/stream", "/api/v1/sse/stream"):
            with EventStream(server.port, path=path) as stream:
                assert stream.status == 200
                assert stream.json("closing")["retry_after_ms"] == stream.retry_ms
                assert stream.event() is None
        with EventStream(server.port, path="/readyz") as ready:
            assert ready.status == 503
        with EventStream(server.port, path="/healthz") as alive:
            assert alive.status == 200
