"""The wall clock of the server's machine is set forward and back by an hour while connections are open.

Only what depends on the time of day may follow: the expiry of tokens, timestamps, the log's age limit.
Heartbeats and deadlines continue, offsets rise, acknowledged publications are delivered once, and a
repeated publish is recognized.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime
from pathlib import Path

import pytest

from rtcli.protocol.position import Position
from rtcli.protocol.tokens import create_token
from tests.support.checker import Outcome
from tests.support.clients.peers import StreamPeer, WsPeer, connect
from tests.support.faults.moved_clock import MovedClock
from tests.support.faults.witnesses import ROOM, Scene, kept, receiver
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.servers.watch import watched
from tests.support.waiting import until

HOUR_S = 3_600
SETTINGS = {
    "ping_interval_s": "0.3",
    "rfc_ping_interval_s": "0.3",
    "rfc_ping_timeout_s": "5",
    "stream_heartbeat_s": "0.3",
    "expiry_grace_s": "0.2",
    "history_ttl_s": "1800",
}
log = logging.getLogger(__name__)


def bearer(sub: str, *, hours: float, offset_s: int = 0) -> str:
    """A token made while the server's clock is `offset_s` ahead of ours."""
    return create_token(SECRET, sub=sub, now=time.time() + offset_s, ttl_s=hours * HOUR_S)


async def beats(scene: Scene) -> None:
    """Wait for two more heartbeats on every stream, and a ping on every socket that asks for pings."""
    streams = [peer for peer in scene.peers.values() if isinstance(peer, StreamPeer)]
    wanted = [heartbeats(stream) + 2 for stream in streams]
    await until(
        lambda: all(heartbeats(s) >= w for s, w in zip(streams, wanted, strict=True)), why="no heartbeat"
    )


def heartbeats(stream: StreamPeer) -> int:
    return sum(name == "heartbeat" for name, _ in stream.events)


def last_timestamp(scene: Scene) -> float:
    return datetime.fromisoformat(scene.writer.of_type("new_message")[-1]["timestamp"]).timestamp()


async def resume(server: ServerProcess, since: Position, *, offset_s: int) -> dict[str, object]:
    """Resume at `since` with a fresh token. Returns the answer of the server."""
    peer = await connect(server.port, WsPeer("back", bearer=bearer("back", hours=1, offset_s=offset_s)))
    await peer.ready
    peer.send("join_room", room=ROOM, since=str(since))
    await until(lambda: bool(peer.of_type("room_joined")), why="a resume is not answered")
    answer: dict[str, object] = peer.of_type("room_joined")[0]
    replayed = answer["replayed"]
    assert isinstance(replayed, int)
    await until(lambda: len(peer.of_type("new_message")) == replayed, why="the replay is not whole")
    peer.transport.abort()
    return answer


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["memory:", "sqlite:rt.db"])
async def test_the_clock_is_set_on_and_back_by_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, soak: bool
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"RTCLI_SERVER_{name.upper()}", value)
    clock = MovedClock(tmp_path)
    server = ServerProcess(tmp_path, store, "--history-size", "10000", prefix=clock.prefix)
    try:
        await server.start()
        async with watched(server):
            scene = await Scene.on(server, bearer=bearer("long", hours=4))
            short = WsPeer("short", [ROOM], bearer=bearer("short", hours=0.5))
            short_stream = StreamPeer("short", [ROOM], bearer=bearer("short", hours=0.5))
            await (await connect(server.port, short)).ready
            await (await connect(server.port, short_stream)).ready
            assert set(await scene.writer.say_all(10)) == {Outcome.ACKNOWLEDGED}
            assert short.close_code is None

            await clock.jump(HOUR_S, scene.writer)
            await until(lambda: short.close_code == 4002, why="a token that is over is not told")
            await until(lambda: short_stream.events[-1][0] == "error", why="a stream goes on without a token")
            await a_repeat_is_known(scene)
            start = receiver("writer", scene.writer).start
            answer = await resume(server, start, offset_s=HOUR_S)
            assert (answer["recovered"], answer["reason"]) == (False, "trimmed")  # ten were too old

            since = await at_top(scene)
            for offset_s in (HOUR_S, 0, -HOUR_S, 0) * (3 if soak else 1):
                await clock.jump(offset_s, scene.writer)
                assert set(await scene.writer.say_all(10)) == {Outcome.ACKNOWLEDGED}
                assert abs(last_timestamp(scene) - time.time() - offset_s) < 60
                await beats(scene)
                assert scene.lost() == []
                answer = await resume(server, since, offset_s=offset_s)
                assert answer["recovered"] is True
            verdict = await scene.verdict(await kept(server, since))
            log.info("%s: %s", store, verdict.summary())
            assert verdict.violations == []
            scene.end()
    finally:
        server.kill()


async def at_top(scene: Scene) -> Position:
    """Publish one more message. Returns its position, the end of the log."""
    key = scene.writer.say()
    await until(lambda: scene.writer.outcome(key) is Outcome.ACKNOWLEDGED, why="no answer")
    position = scene.sent[key].position
    assert position is not None
    return position


async def a_repeat_is_known(scene: Scene) -> None:
    """A publish from an hour ago by the wall clock, but just now in truth, is not published again."""
    key, record = list(scene.sent.items())[-1]
    scene.writer.send("chat_message", key, room=ROOM, content=key)
    await until(lambda: scene.writer.of_type("ack")[-1]["duplicate"], why="a repeat is not known")
    assert scene.sent[key] == record
