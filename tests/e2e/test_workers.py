"""`rtcli serve --workers N`: one port, N processes, one deployment; and what if some of them die."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conformance.redis_server import RedisServer, redis_of_session
from tests.conformance.transports.raw import CLOSE, RawWebSocket
from tests.e2e.commands import DEADLINE_S, Command, free_port, wait_until
from tests.rtcli.process import environment, rtcli

__all__ = ["redis_of_session"]
ROOM = "general"


class Deployment(Command):
    """A parent with its workers, once it has said where it listens."""

    def __init__(self, home: Path, *arguments: str, workers: int = 2) -> None:
        super().__init__("serve", "--workers", str(workers), "--port", "0", *arguments, home=home)
        self.wait_for("tail-events", stream="err")
        self.home = home
        self.port = int(self.err.decode().partition("listening on ")[2].split()[0].rsplit(":", 1)[1])

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes of its workers, the oldest first."""
        parent = psutil.Process(self.process.pid)
        return sorted(parent.children(), key=lambda worker: worker.pid)

    def connect(self) -> RawWebSocket:
        """Connect to one of them, whichever the kernel chooses, and join the room."""
        made = rtcli("token", "create", "--sub", "7", home=self.home) if not self._token else None
        self._token = made.stdout.decode().strip() if made else self._token
        ws = RawWebSocket(self.port, f"/api/v1/ws?token={self._token}")
        self.last_instance = str(ws.until("pong")["data"]["connection_id"]).partition("-")[0]
        ws.send("join_room", None, room=ROOM)
        ws.until("room_joined")
        return ws

    _token = ""
    last_instance = ""


Serve = Callable[..., Deployment]


@pytest.fixture
def serve(tmp_path: Path, redis_of_session: RedisServer) -> Iterator[Serve]:
    """Start deployments on an empty Redis; what still runs at the end is killed, workers too."""
    redis_of_session.command("FLUSHALL")
    started: list[Deployment] = []

    def start(*arguments: str, workers: int = 2) -> Deployment:
        options = ("--store", redis_of_session.url, "--user-connections", "off", *arguments)
        started.append(Deployment(tmp_path, *options, workers=workers))
        return started[-1]

    yield start
    for deployment in started:
        workers = deployment.workers if deployment.process.poll() is None else []
        deployment.kill()
        wait_gone(workers)


def wait_gone(workers: Sequence[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(workers, timeout=DEADLINE_S)
    assert not alive


@contextlib.contextmanager
def everywhere(deployment: Deployment, count: int) -> Iterator[dict[str, RawWebSocket]]:
    """Sockets to all `count` workers, by the workers' instance ids."""
    with contextlib.ExitStack() as stack:
        found: dict[str, RawWebSocket] = {}
        for _ in range(40 * count):
            ws = stack.enter_context(deployment.connect())
            found.setdefault(deployment.last_instance, ws)
            if len(found) == count:
                break
        assert len(found) == count, "the kernel does not spread connections"
        yield found


def say(sender: RawWebSocket, text: str) -> None:
    sender.send("chat_message", text, room=ROOM, content=text)


def hears(ws: RawWebSocket, text: str) -> bool:
    while ws.until("new_message")["data"]["content"] != text:
        pass
    return True


def signal_all(deployment: Deployment, number: signal.Signals) -> None:
    """As a terminal does it with Ctrl-C, and a service manager with SIGTERM: parent and workers alike."""
    for pid in (*(worker.pid for worker in deployment.workers), deployment.process.pid):
        os.kill(pid, number)


def test_connections_are_spread_and_messages_reach_every_worker(serve: Serve, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deployment = serve("--ready-file", str(ready), "-v", workers=3)
    assert ready.read_text() == f"http://127.0.0.1:{deployment.port}\n"
    assert len(deployment.workers) == 3
    with everywhere(deployment, 3) as sockets:
        for name, sender in sockets.items():
            say(sender, f"from {name}")
            assert all(hears(ws, f"from {name}") for ws in sockets.values())
        deployment.signal(signal.SIGTERM)
        assert all(ws.until("closing")["data"]["code"] == 1012 for ws in sockets.values())
    assert deployment.end() == 0
    assert not ready.exists()
    text = deployment.err.decode()
    assert text.count("listening on") == 1
    assert "; 3 workers)" in text
    pids = dict(re.findall(r"Started server process.* worker=(\d) pid=(\d+)", text))
    assert sorted(pids) == ["1", "2", "3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_them_drains(serve: Serve, number: signal.Signals) -> None:
    deployment = serve("--drain-timeout", "20s")
    with everywhere(deployment, 2) as sockets:
        signal_all(deployment, number)
        for ws in sockets.values():
            assert ws.until("closing")["data"]["code"] == 1012
            close = ws.close_frame()
            assert close is not None
            ws.send_frame(CLOSE, close.payload)
    assert deployment.end() == 0
    assert deployment.err.count(b"\n") == 4, deployment.err  # what it says at the start, and no more


def test_a_second_signal_ends_all_at_once(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "60s")
    workers = deployment.workers
    with everywhere(deployment, 2) as sockets:
        deployment.signal(signal.SIGTERM)
        for ws in sockets.values():
            ws.until("closing")  # and they wait for an answer that does not come
        deployment.signal(signal.SIGTERM)
        assert deployment.end() == 128 + signal.SIGTERM
        wait_gone(workers)


def test_a_killed_worker_is_replaced_and_the_others_keep_their_clients(serve: Serve) -> None:
    deployment = serve(workers=2)
    before = deployment.workers
    with everywhere(deployment, 2) as sockets:
        before[0].kill()
        deployment.wait_for("was ended by SIGKILL; starting it again", stream="err")
        ended = [name for name, ws in sockets.items() if not is_alive(ws)]
        assert len(ended) == 1
        (kept,) = (ws for name, ws in sockets.items() if name not in ended)
        wait_until(lambda: len(deployment.workers) == 2, "the new worker's start")
        say(kept, "still here")
        assert hears(kept, "still here")
    with everywhere(deployment, 2) as sockets:
        assert ended[0] not in sockets
        for name, sender in sockets.items():
            say(sender, f"from {name}")
            assert all(hears(ws, f"from {name}") for ws in sockets.values())
    assert re.search(rb"WARNING server\.supervisor: worker \d was .* worker=\d pid=\d+", deployment.err)
    deployment.signal(signal.SIGTERM)
    assert deployment.end() == 0


def is_alive(ws: RawWebSocket) -> bool:
    """Whether a ping is answered."""
    ws.send("ping")
    try:
        ws.until("pong")
    except AssertionError:
        return False
    return True


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "2s")
    before = deployment.workers
    with everywhere(deployment, 2) as sockets:
        before[1].terminate()
        before[1].terminate()
        deployment.wait_for("ended with exit code 0; starting it again", stream="err")
        assert sum(not is_alive(ws) for ws in sockets.values()) == 1
    wait_until(lambda: len(deployment.workers) == 2, "the new worker's start")
    deployment.signal(signal.SIGTERM)
    assert deployment.end() == 0


def test_workers_that_die_again_and_again_are_given_up(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "3s")
    stays = deployment.workers[1]
    with everywhere(deployment, 2) as sockets:
        while stays.is_running():
            with contextlib.suppress(psutil.NoSuchProcess):
                for worker in deployment.workers:
                    if worker.pid != stays.pid:
                        worker.kill()
            time.sleep(0.02)
        assert sorted(map(was_drained, sockets.values())) == [False, True]
    assert deployment.end() == 6
    *_, error, hint = deployment.err.decode().splitlines()
    assert error.startswith("error: worker 1 was ended by SIGKILL 5 times in a row")
    assert hint.startswith("hint: ")
    assert deployment.err.count(b"starting it again") >= 4


def was_drained(ws: RawWebSocket) -> bool:
    try:
        return bool(ws.until("closing"))
    except AssertionError:
        return False


def test_workers_do_not_outlive_their_parent(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "2s")
    workers = deployment.workers
    with everywhere(deployment, 2) as sockets:
        deployment.signal(signal.SIGKILL)
        for ws in sockets.values():
            assert ws.until("closing")["data"]["code"] == 1012  # in order, even so
    wait_gone(workers)


def test_each_worker_can_be_asked_for_its_own_metrics(serve: Serve) -> None:
    first = free_ports(2)
    deployment = serve("--worker-port", str(first))
    with everywhere(deployment, 2) as sockets:
        found: dict[str, float] = {}
        for port in (first, first + 1):
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            (name,) = re.findall(r'^rtcli_server{instance="(\w+)"} 1', text, re.MULTILINE)
            found[name] = sum(map(float, re.findall(r"^rtcli_connections{.*} (\S+)$", text, re.MULTILINE)))
        assert found.keys() == sockets.keys()
        assert all(count >= 1 for count in found.values())


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = free_port()
            for number in range(count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", first + number))
            return first


def test_a_worker_that_does_not_end_is_killed(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "1s")
    workers = deployment.workers
    workers[0].suspend()
    deployment.signal(signal.SIGTERM)
    assert deployment.end() == 6
    assert b"error: not all workers ended within 3 s: killed" in deployment.err
    wait_gone(workers)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["memory:", "sqlite:rt.db"])
def test_without_redis_there_is_one_process(tmp_path: Path, store: str) -> None:
    ended = rtcli("serve", "--workers", "2", "--store", store, "--port", "0", home=tmp_path)
    assert ended.returncode == 2
    error, hint = ended.stderr.decode().splitlines()
    assert error == f"error: 2 workers need a log that processes can share, which {store} is not"
    assert "--store redis://HOST:PORT" in hint
    assert not (tmp_path / "rt.db").exists()


REFUSED = {
    "a certificate that is not there": (("--tls-cert", "x", "--tls-key", "y"), "x with y"),
    "no secret in the file": (("--secret-file", "empty"), "keygen"),
    "an origin with a path": (("--origin", "https://a.example/b"), "--origin"),
    "a store that is none": (("--store", "redis://"), "--store"),
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_mistakes_are_found_before_any_worker_starts(
    tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    (tmp_path / "empty").touch(mode=0o600)
    store = ("--store", "redis://127.0.0.1:1")
    ended = rtcli("serve", "--workers", "2", "--port", "0", "-v", *store, *arguments, home=tmp_path)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 2, ended.stderr
    assert text in ended.stderr.decode()


def refused_for_the_port(home: Path, port: int, *, workers: int = 2) -> None:
    store = ("--store", "redis://127.0.0.1:1") if workers > 1 else ()
    ended = rtcli("serve", "--workers", str(workers), "--port", str(port), *store, home=home)
    assert ended.returncode == 3
    error, hint = ended.stderr.decode().splitlines()
    assert error == f"error: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert hint.startswith("hint: choose another port")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused_for_the_port(tmp_path, other.getsockname()[1])


def test_a_second_deployment_on_the_port_is_refused(serve: Serve, tmp_path: Path) -> None:
    deployment = serve()
    refused_for_the_port(tmp_path, deployment.port)
    refused_for_the_port(tmp_path, deployment.port, workers=1)
    deployment.signal(signal.SIGSTOP)  # so that nobody is started again
    for worker in deployment.workers:
        worker.kill()
    refused_for_the_port(tmp_path, deployment.port)  # though nobody listens there now
    deployment.signal(signal.SIGCONT)
    deployment.wait_for("starting it again", stream="err", times=2)
    with everywhere(deployment, 2):
        deployment.signal(signal.SIGTERM)
        assert deployment.end() == 0


def test_of_two_that_start_at_the_same_moment_one_gets_the_port(
    tmp_path: Path, redis_of_session: RedisServer
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ("serve", "--workers", "2", "--port", str(port), "--store", redis_of_session.url)
    rtcli("token", "create", "--sub", "7", home=tmp_path)  # which makes the key that both use
    both = [Command(*arguments, home=tmp_path) for _ in range(2)]
    try:
        wait_until(lambda: any(one.process.poll() is not None for one in both), "the end of one")
        (loser,) = (one for one in both if one.process.poll() is not None)
        assert loser.end() == 3, loser.err
        assert b"already in use" in loser.err
        (winner,) = (one for one in both if one is not loser)
        winner.wait_for("listening on", stream="err")
        winner.signal(signal.SIGTERM)
        assert winner.end() == 0
    finally:
        for one in both:
            one.kill()


def test_a_worker_says_why_it_cannot_start(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        options = ("--store", "redis://127.0.0.1:1", "--worker-port", str(taken - 1))
        ended = rtcli("serve", "--workers", "2", "--port", "0", *options, home=tmp_path)
    assert ended.returncode == 6
    assert "listening on" not in ended.stderr.decode()
    lines = ended.stderr.decode().splitlines()
    assert lines[0] == f"error: cannot listen on 127.0.0.1:{taken}: Address already in use"
    assert lines[-2] == "error: worker 2 ended with exit code 3 before all workers were ready"


def test_a_ready_file_that_cannot_be_written(tmp_path: Path) -> None:
    options = ("--store", "redis://127.0.0.1:1", "--ready-file", "/nowhere/x")
    ended = rtcli("serve", "--workers", "2", "--port", "0", *options, home=tmp_path)  # and no worker stays
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 2, ended.stderr


SUPERVISED = """
import sys
from server.supervisor import WorkersError, supervise

def work(number, tell_ready):
    if number == 1:
        raise RuntimeError("a bug")
    tell_ready()
    import signal
    return signal.sigwait([signal.SIGTERM])

try:
    supervise(2, work, on_ready=lambda: print("ready"), stop_s=5)
except WorkersError as error:
    sys.exit(str(error))
"""


def test_a_worker_that_cannot_start_ends_it_all(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SUPERVISED],
        capture_output=True,
        env=environment(tmp_path),
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == b""
    assert b"RuntimeError: a bug" in ended.stderr
    last = ended.stderr.decode().splitlines()[-1]
    assert last == "worker 1 ended with exit code 1 before all workers were ready"
