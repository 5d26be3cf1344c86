"""What several workers need: each mistake is refused before the parent prints an address."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port, free_ports
from tests.support.processes.command import Command
from tests.support.processes.rtcli import environment, rtcli
from tests.support.redis.server import RedisServer
from tests.support.servers.workers import Serve
from tests.support.waiting import wait_until


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
    wait_until(lambda: listens(deployment.port), "their return")
    with deployment.everywhere():
        deployment.signal(signal.SIGTERM)
        assert deployment.end() == 0


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_of_two_that_start_at_the_same_moment_one_gets_the_port(
    tmp_path: Path, redis_of_session: RedisServer
) -> None:
    port = free_port()
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
        taken = free_ports(2) + 1
        other.bind(("127.0.0.1", taken))
        other.listen()
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
    *before, error, hint = ended.stderr.splitlines()
    assert error.startswith(b"error: /nowhere/x: "), ended.stderr
    assert hint == b"hint: see --ready-file"
    no_redis = b" ERROR rtcli_server.broker.health: Redis at 127.0.0.1:1: not ready: cannot connect: "
    assert all(no_redis in line for line in before), ended.stderr  # a worker may have come to say that


SUPERVISED = """
import sys
from rtcli_server.process.supervisor import WorkersError, supervise

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
