"""A server whose SQLite log was damaged in place, put back, or may not be written.

`server/broker/sqlite/test_damage.py` does the same at random, without a server around the log.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from rtcli.protocol.position import Position
from tests.support.brokers.sqlite_files import overwrite, rows, wal_of
from tests.support.checker import Outcome
from tests.support.clients.peers import StreamPeer, WsPeer, connect, drop, token
from tests.support.faults.sqlite_server import filled, publish_by_http, serve_once, started, why_not_from
from tests.support.faults.witnesses import ROOM, Scene, kept, receiver, status, until_status
from tests.support.processes.rtcli import RTCLI
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.servers.watch import HealthWatch, log_is_clean
from tests.support.waiting import until

ACKNOWLEDGED, REFUSED = Outcome.ACKNOWLEDGED, Outcome.REFUSED
UNAVAILABLE = "unavailable"
REFUSED_AT_START = "refused"
# Runs a command where a directory cannot be written to.
READ_ONLY_MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
# Root may write to what nobody may, unless it gives that up.
AS_ANYBODY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


async def reads(server: ServerProcess, since: Position) -> dict[str, object]:
    """What a client is answered that reads after a position: over HTTP, as a member, as a stream."""
    headers = {"Authorization": f"Bearer {token('reader')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        page = await http.get(f"/api/v1/rooms/{ROOM}/messages", params={"since": str(since)})
    member = await connect(server.port, WsPeer("member"))
    await member.ready
    member.send("join_room", room=ROOM, since=str(since))
    stream = await connect(server.port, StreamPeer("stream", [ROOM], last_event_id=f"{ROOM}={since}"))
    await until(lambda: bool(stream.events), why="no answer to the stream")
    answers = ("room_joined", "error")
    await until(lambda: any(m["type"] in answers for m in member.messages), why="no answer to the member")
    [answer] = [m for m in member.messages if m["type"] in answers]
    drop([member, stream])
    said = answer["data"]
    return {
        "http": page.status_code,
        "member": said.get("code") or f"recovered: {said['recovered']}",
        "stream": stream.events[0][0],
    }


async def test_a_page_damaged_under_a_running_server_is_told(
    tmp_path: Path, servers: list[ServerProcess]
) -> None:
    path = tmp_path / "rt.db"
    server = await started(servers, tmp_path, path)
    health = HealthWatch(server.port, task=server.pid)
    health.start()
    scene, start = await filled(server, path)
    overwrite(path, b"writer-7...", b"writer-7,..")
    assert await reads(server, start) == {"http": 503, "member": UNAVAILABLE, "stream": "closing"}
    assert set(await scene.writer.say_all(5)) == {REFUSED}
    assert (await publish_by_http(server)).json()["code"] == UNAVAILABLE
    await until_status(server, "/readyz", 503)
    assert await status(server, "/healthz") == 200
    behind = start._replace(offset=start.offset + 20)
    assert await reads(server, behind) == {"http": 200, "member": "recovered: True", "stream": "ready"}
    assert scene.lost() == []
    await health.stop()
    scene.end()
    server.stop(signal.SIGTERM)
    log_is_clean(server)
    assert server.log.read_text().count("the log is damaged") == 1
    assert "is damaged: publication 8" in serve_once(tmp_path, path)


Harm = Callable[[Path, Path], None]  # of the log, and an older copy of its file


def nothing(_path: Path, _older: Path) -> None:
    """It was only killed."""


def shorten_wal(path: Path, _: Path) -> None:
    os.truncate(wal_of(path), wal_of(path).stat().st_size - 4_120)  # one page: the last commit


def flip_a_bit_of_wal(path: Path, _: Path) -> None:
    overwrite(wal_of(path), b"writer-25...", b"writer-25../")


def damage_shm(path: Path, _: Path) -> None:
    Path(f"{path}-shm").write_bytes(b"\xff" * 32_768)


def put_older_copy(path: Path, older: Path) -> None:
    shutil.copy(older, path)


HARMS: dict[Harm, str | None] = {
    nothing: None,
    damage_shm: None,
    shorten_wal: "epoch_changed",
    flip_a_bit_of_wal: "epoch_changed",
    put_older_copy: REFUSED_AT_START,
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_what_a_killed_server_left_goes_on_or_begins_anew(
    tmp_path: Path, servers: list[ServerProcess], harm: Harm
) -> None:
    reason = HARMS[harm]
    path, older = tmp_path / "rt.db", tmp_path / "older.db"
    server = await started(servers, tmp_path, path)
    scene = await Scene.on(server)
    start = receiver("writer", scene.writer).start
    for _ in range(2):  # the older copy lacks what the -wal does not have any more
        shutil.copy(path, older)
        assert set(await scene.writer.say_all(10, padding=2_000)) == {ACKNOWLEDGED}
        rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert set(await scene.writer.say_all(10, padding=2_000)) == {ACKNOWLEDGED}
    scene.end()
    server.stop(signal.SIGKILL)
    harm(path, older)
    if reason == REFUSED_AT_START:
        assert "is damaged" in serve_once(tmp_path, path)
        return
    await server.start()
    assert await why_not_from(server, start) == reason
    said = (await publish_by_http(server)).json()
    known = {record.position for record in scene.sent.values()}
    assert Position(said["epoch"], said["offset"]) not in known
    if reason is None:
        assert len((await kept(server, start)).events) == 31


@pytest.mark.parametrize("what", ["the file system", "the file", "the directory"])
def test_a_log_that_may_not_be_written_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    home = tmp_path / "home"
    home.mkdir()
    path = home / "rt.db"
    root = os.geteuid() == 0
    command: tuple[str, ...] = (*(AS_ANYBODY if root else ()), RTCLI)
    if what == "the file system":
        user = () if root else ("--map-root-user",)
        command = ("unshare", "--mount", *user, "sh", "-c", READ_ONLY_MOUNT, str(home), RTCLI)
    elif what == "the file":
        path.touch(mode=0o400)
    else:
        home.chmod(0o500)
    try:
        said = serve_once(tmp_path, path, command=command)
    finally:
        home.chmod(0o700)
    assert any(text in said for text in ("Read-only", "readonly", "read-only", "Permission denied")), said
