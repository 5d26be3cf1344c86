"""What `unavailable` says of a message that the log did not confirm or read, on both WebSocket transports."""

from __future__ import annotations

import pytest

from rtcli_server.broker import BrokerUnavailableError
from tests.support.brokers.broken_log import break_publishing, break_reads
from tests.support.clients.rooms import connect_ws, join, open_ws, say
from tests.support.servers.live_server import live_server

SURE = "The log cannot take this now; nothing was published, try again"
WITH_ID = "Not confirmed: repeat it with the same id"
WITHOUT = "Not confirmed: it may have been published, and a repeat without an id comes twice"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("maybe_published", "with_id", "without"), [(False, SURE, SURE), (True, WITH_ID, WITHOUT)]
)
def test_it_claims_no_more_than_is_known(
    fast: bool, at_once: bool, maybe_published: bool, with_id: str, without: str
) -> None:
    with live_server(fast_websockets=fast) as server, open_ws(server) as ws:
        join(ws, "a")
        server.ask(lambda it: break_publishing(it, maybe_published=maybe_published, at_once=at_once))
        ws.send("chat_message", "c-1", room="a", content="x")
        refused = ws.until("error")
        assert refused["id"] == "c-1"
        assert refused["data"] == {"code": "unavailable", "message": with_id}
        ws.send("chat_message", room="a", content="x")
        assert ws.until("error")["data"] == {"code": "unavailable", "message": without}


def test_a_join_that_failed_may_be_repeated_and_goes_on_at_the_cursor_of_the_handshake(fast: bool) -> None:
    with live_server(fast_websockets=fast) as server:
        with open_ws(server) as ws:
            position = join(ws, "a")["position"]
            say(ws, "a", "missed")
        with open_ws(server, path=f"/api/v1/ws?events=0&last_event_id=a%3D{position}") as ws:
            server.ask(lambda it: break_reads(it, BrokerUnavailableError("away")))
            ws.send("join_room", "j-1", room="a")
            assert ws.until("error")["data"]["code"] == "unavailable"
            assert join(ws, "a")["recovered"] is True
            assert ws.until("new_message")["data"]["content"] == "missed"


@pytest.mark.logs_traceback
@pytest.mark.parametrize(
    ("error", "code"), [(BrokerUnavailableError("away"), 1013), (RuntimeError("a bug"), 1011)]
)
@pytest.mark.parametrize("good_reads", [0, 1, 2])
def test_a_greeting_that_fails_leaves_nothing(
    fast: bool, error: Exception, code: int, good_reads: int
) -> None:
    """The log may fail when it is asked for a top, or for what was missed in either channel."""
    with live_server(fast_websockets=fast) as server:
        server.ask(lambda it: break_reads(it, *[None] * good_reads, error))
        with connect_ws(server, path="/api/v1/ws?last_event_id=~me%3Dzzzz-1") as ws:
            closed = ws.close_frame()
            assert closed is not None
            assert closed.code == code
        server.wait_until(lambda it: not it.hub.clients)
        assert server.ask(lambda it: dict(it.fanout._channels)) == {}
        with open_ws(server):
            pass


@pytest.mark.logs_traceback
def test_a_join_that_fails_for_another_reason_ends_the_connection_and_leaves_nobody(fast: bool) -> None:
    with live_server(fast_websockets=fast, presence_grace_s=0.0) as server:
        with open_ws(server, path="/api/v1/ws?events=0") as ws:
            server.ask(lambda it: break_reads(it, RuntimeError("a bug")))
            ws.send("join_room", "j-1", room="a")
            closed = ws.close_frame()
            assert closed is not None
            assert closed.code == 1011
        server.wait_until(lambda it: not it.hub.clients)
        assert server.ask(lambda it: dict(it.fanout._channels)) == {}
        with open_ws(server, "8") as ws:
            assert join(ws, "a")["member_count"] == 1
