from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rtcli.apps.tail.state_file import StateFile, filter_hash
from rtcli.errors import CliError, Exit


def open_state(
    path: Path, *, server: str = "http://h:1", digest: str = "f", reset: bool = False
) -> StateFile:
    return StateFile(
        path, server=server, filter_digest=digest, timestamp=lambda: "2026-05-01T09:30:00.000Z", reset=reset
    )


def test_a_new_file_has_nothing_and_keeps_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    state = open_state(path)
    assert state.last_id is None
    state.record("general=aaaa-1", now=0.0)
    state.close(now=0.1)
    where = {"v": 1, "server": "http://h:1", "filter": "f"}
    content = where | {"last_id": "general=aaaa-1", "ts": "2026-05-01T09:30:00.000Z"}
    assert json.loads(path.read_text()) == content
    assert path.stat().st_mode & 0o777 == 0o600
    again = open_state(path)
    assert again.last_id == "general=aaaa-1"
    again.close(now=0.0)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["seen.json", "seen.json.lock"]


def test_it_is_written_at_most_each_second_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state = open_state(path)
    assert state.record("1", now=10.0) is None, "the first is written at once"
    inode = path.stat().st_ino
    assert state.record("2", now=10.4) == pytest.approx(0.6)
    assert state.record("3", now=10.9) == pytest.approx(0.1)
    assert json.loads(path.read_text())["last_id"] == "1"
    assert state.record("4", now=11.0) is None
    assert json.loads(path.read_text())["last_id"] == "4"
    assert path.stat().st_ino != inode, "by rename"
    state.record("5", now=11.1)
    state.close(now=11.2)
    assert json.loads(path.read_text())["last_id"] == "5"


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state = open_state(path)
    state.record("1", now=0.0)
    inode = path.stat().st_ino
    assert state.record("1", now=100.0) is None
    state.close(now=200.0)
    assert path.stat().st_ino == inode


def test_an_empty_id_is_an_id(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    state.record("1", now=0.0)
    state.record("", now=5.0)
    state.close(now=6.0)
    again = open_state(tmp_path / "s")
    assert again.last_id == ""
    again.close(now=7.0)


def test_a_second_tail_is_refused_and_may_have_it_afterwards(tmp_path: Path) -> None:
    first = open_state(tmp_path / "s")
    with pytest.raises(CliError, match="another tail is using"):
        open_state(tmp_path / "s")
    first.close(now=0.0)
    open_state(tmp_path / "s").close(now=0.0)


@pytest.mark.parametrize(("server", "digest"), [("http://other:1", "f"), ("http://h:1", "other")])
def test_another_server_or_filter_is_refused_unless_reset(tmp_path: Path, server: str, digest: str) -> None:
    state = open_state(tmp_path / "s")
    state.record("1", now=0.0)
    state.close(now=0.0)
    with pytest.raises(CliError) as caught:
        open_state(tmp_path / "s", server=server, digest=digest)
    assert caught.value.exit_code == Exit.USAGE
    assert "--state-reset" in caught.value.hint
    anew = open_state(tmp_path / "s", server=server, digest=digest, reset=True)
    assert anew.last_id is None
    anew.record("9", now=1.0)
    anew.close(now=1.0)
    open_state(tmp_path / "s", server=server, digest=digest).close(now=2.0)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[1]",
        b"not json",
        b"\xff\xfe",
        b'{"v":1}',
        b'{"v":2,"server":"http://h:1","filter":"f","last_id":"1","ts":""}',
        b'{"v":1,"server":"http://h:1","filter":"f","last_id":"a\\nb","ts":""}',
        b'{"v":1,"server":"http://h:1","filter":"f","last_id":"a\\u0000b","ts":""}',
        b'{"v":1,"server":"http://h:1","filter":"f","last_id":7,"ts":""}',
        b'{"v":1,"server":"http://h:1","filter":"f","last_id":"1","ts":"","more":1}',
        b"x" * 100_000,
    ],
)
def test_a_file_that_is_not_ours_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(content)
    with pytest.raises(CliError, match="is not a state file"):
        open_state(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file_has_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    state = open_state(tmp_path / "s")
    assert state.last_id is None
    state.close(now=0.0)


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for path in (tmp_path / "dir", tmp_path / "missing" / "s", Path("/dev/null/s")):
        with pytest.raises(CliError) as caught:
            open_state(path)
        assert caught.value.exit_code == Exit.USAGE


def test_a_disk_that_is_full_is_said_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state(tmp_path / "s")
    state.record("1", now=0.0)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CliError, match="No space left"):
        state.record("2", now=5.0)
    monkeypatch.undo()
    assert json.loads((tmp_path / "s").read_text())["last_id"] == "1"
    state.close(now=6.0)
    assert json.loads((tmp_path / "s").read_text())["last_id"] == "2"


def test_the_same_filter_in_another_order_is_the_same() -> None:
    assert filter_hash(event=["a", "b", "a"], grep=None) == filter_hash(grep=None, event=["b", "a"])
    assert filter_hash(event=["a"], grep=None) != filter_hash(event=None, grep="a")
