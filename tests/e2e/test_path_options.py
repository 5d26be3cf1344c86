"""Options that name a file to write: what is no regular file is refused and stays, modes are as promised."""

from __future__ import annotations

import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.processes.command import Command
from tests.support.processes.rtcli import RTCLI, environment, rtcli
from tests.support.servers.server_process import ServerProcess
from tests.support.special_files import SPECIAL, Make, kinds, make_fifo, make_link_to_fifo, make_socket


def refused(home: Path, directory: Path, *arguments: str) -> str:
    """Run a command that must end with 2, and change nothing in the directory; return what it said."""
    before = kinds(directory)
    result = rtcli(*arguments, home=home)
    said = result.stderr.decode()
    assert result.returncode == 2, said
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert kinds(directory) == before
    return said


@pytest.mark.parametrize("make", SPECIAL)
def test_files_that_are_no_files_are_refused_and_stay(tmp_path: Path, make: Make) -> None:
    place = tmp_path / "place"
    place.mkdir()
    it = place / "it"
    make(it)
    said = refused(tmp_path, place, "serve", "--port", "0", "--ready-file", str(it))
    assert "not a regular file" in said
    said = refused(
        tmp_path, place, "tail-events", "--room", "r", "--state", str(it), "-u", "http://127.0.0.1:9"
    )
    assert "not a regular file" in said
    refused(tmp_path, place, "token", "keygen", "--out", str(it))


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_link_to_fifo])
def test_directories_and_logs_that_are_none_are_refused_and_stay(tmp_path: Path, make: Make) -> None:
    place = tmp_path / "place"
    place.mkdir()
    make(place / "summary.json")
    test = ("loadtest", "smoke", "-u", "http://127.0.0.1:9", "--out")
    refused(tmp_path, place, *test, str(place / "summary.json"))
    assert "not a regular file" in refused(tmp_path, place, *test, str(place))
    (place / "log.db-lock").touch()
    make_fifo(place / "log.db")
    said = refused(tmp_path, place, "serve", "--port", "0", "--store", f"sqlite:{place / 'log.db'}")
    assert "not a regular file" in said


@pytest.mark.parametrize("mask", ["000", "022", "077", "277"])
def test_modes(tmp_path: Path, server: ServerProcess, mask: str) -> None:
    """Keys, logs and states are for their user alone; the rest follows the umask."""
    command = ("sh", "-c", f'umask {mask}; exec "$@"', "-", RTCLI)
    place = tmp_path / "place"
    place.mkdir()

    def run(*arguments: str) -> None:
        result = rtcli(*arguments, home=tmp_path, command=command, cwd=place)
        assert result.returncode == 0, result.stderr

    run("token", "keygen", "--out", "key")
    run("tail-events", "--room", "r", "--state", "state", "--count", "0", "-u", server.url)
    store = ("--store", "sqlite:log.db")
    process = subprocess.Popen(
        [*command, "serve", "--port", "0", *store, "--secret-file", "key", "--ready-file", "ready"],
        env=environment(tmp_path),
        cwd=place,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        while b"listening on" not in process.stderr.readline():
            assert process.poll() is None
        private = {"key", "state", "state.lock", "log.db", "log.db-wal", "log.db-shm", "log.db-lock"}
        found = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in place.iterdir()}
        expected = {name: oct(0o600) for name in private} | {"ready": oct(0o666 & ~int(mask, 8))}
        assert found == expected
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert not (place / "ready").exists()


def test_a_second_start_that_fails_leaves_the_ready_file_of_the_first(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    healthy = Command("serve", "--port", "0", "--ready-file", str(ready), home=tmp_path)
    healthy.wait_for("listening on", stream="err")
    url = ready.read_text()
    port = url.strip().rpartition(":")[2]
    second = rtcli("serve", "--port", port, "--ready-file", str(ready), home=tmp_path)
    assert second.returncode == 3, second.stderr
    assert ready.read_text() == url
    healthy.signal(signal.SIGTERM)
    assert healthy.end() == 0
    assert not ready.exists()


def test_files_behind_links_are_written_and_the_links_stay(tmp_path: Path, server: ServerProcess) -> None:
    place = tmp_path / "place"
    place.mkdir()
    ready, state = place / "ready", place / "tail"
    for link in (ready, state):
        link.symlink_to(f"{link.name} itself")
    other = Command("serve", "--port", "0", "--ready-file", str(ready), home=tmp_path)
    other.wait_for("listening on", stream="err")
    assert (place / "ready itself").read_text().startswith("http://127.0.0.1:")
    other.signal(signal.SIGTERM)
    assert other.end() == 0
    assert not (place / "ready itself").exists()
    arguments = ("tail-events", "--room", "r", "--state", str(state), "--count", "0", "-u", server.url)
    for _ in range(2):
        assert rtcli(*arguments, home=tmp_path).returncode == 0
    assert (place / "tail itself").read_bytes().startswith(b"{")
    assert ready.is_symlink()
    assert state.is_symlink()
