"""`rtcli serve --workers N`: one port, N processes, one deployment; and what if some of them die."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.clients.raw_http import CLOSE, RawWebSocket
from tests.support.ports import free_ports
from tests.support.servers.workers import Serve, hears, is_alive, say, wait_gone
from tests.support.waiting import wait_until


def test_connections_are_spread_and_messages_reach_every_worker(serve: Serve, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    deployment = serve("--ready-file", str(ready), "-v", workers=3)
    assert ready.read_text() == f"http://127.0.0.1:{deployment.port}\n"
    assert len(deployment.workers) == 3
    with deployment.everywhere(3) as sockets:
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
    """As a terminal does it with Ctrl-C, and a service manager with SIGTERM: parent and workers alike."""
    deployment = serve("--drain-timeout", "20s")
    with deployment.everywhere() as sockets:
        for worker in deployment.workers:
            worker.send_signal(number)
        told = sockets.values() if number == signal.SIGTERM else ()  # of SIGINT they know nothing
        assert all(ws.until("closing") for ws in told)
        deployment.signal(number)
        assert all(ws.until("closing")["data"]["code"] == 1012 for ws in sockets.values() if not told)
        for ws in sockets.values():
            close = ws.close_frame()
            assert close is not None
            assert is_open(ws)  # whatever the parent's own SIGTERM, their second, means to them
            ws.send_frame(CLOSE, close.payload)
    assert deployment.end() == 0
    assert deployment.err.count(b"\n") == 4, deployment.err  # what it says at the start, and no more


def is_open(ws: RawWebSocket) -> bool:
    """Whether the server still waits for the answer to its close frame."""
    ws.sock.settimeout(0.3)
    try:
        return ws.sock.recv(1) != b""
    except TimeoutError:
        return True


def test_a_second_signal_ends_all_at_once(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "60s")
    workers = deployment.workers
    with deployment.everywhere() as sockets:
        deployment.signal(signal.SIGTERM)
        for ws in sockets.values():
            ws.until("closing")  # and they wait for an answer that does not come
        deployment.signal(signal.SIGTERM)
        assert deployment.end() == 128 + signal.SIGTERM
        wait_gone(workers)


def test_a_killed_worker_is_replaced_and_the_others_keep_their_clients(serve: Serve) -> None:
    deployment = serve(workers=2)
    before = deployment.workers
    with deployment.everywhere() as sockets:
        before[0].kill()
        deployment.wait_for("was ended by SIGKILL; starting it again", stream="err")
        ended = [name for name, ws in sockets.items() if not is_alive(ws)]
        assert len(ended) == 1
        (kept,) = (ws for name, ws in sockets.items() if name not in ended)
        wait_until(lambda: len(deployment.workers) == 2, "the new worker's start")
        say(kept, "still here")
        assert hears(kept, "still here")
    with deployment.everywhere() as sockets:
        assert ended[0] not in sockets
        for name, sender in sockets.items():
            say(sender, f"from {name}")
            assert all(hears(ws, f"from {name}") for ws in sockets.values())
    record = rb"WARNING rtcli_server\.process\.supervisor: worker \d was .* worker=\d pid=\d+"
    assert re.search(record, deployment.err)
    deployment.signal(signal.SIGTERM)
    assert deployment.end() == 0


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "2s")
    before = deployment.workers
    with deployment.everywhere() as sockets:
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
    with deployment.everywhere() as sockets:
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
    with deployment.everywhere() as sockets:
        deployment.signal(signal.SIGKILL)
        for ws in sockets.values():
            assert ws.until("closing")["data"]["code"] == 1012  # in order, even so
    wait_gone(workers)


def test_each_worker_can_be_asked_for_its_own_metrics(serve: Serve) -> None:
    first = free_ports(2)
    deployment = serve("--worker-port", str(first))
    with deployment.everywhere() as sockets:
        found: dict[str, float] = {}
        for port in (first, first + 1):
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            (name,) = re.findall(r'^rtcli_server{instance="(\w+)"} 1', text, re.MULTILINE)
            found[name] = sum(map(float, re.findall(r"^rtcli_connections{.*} (\S+)$", text, re.MULTILINE)))
        assert found.keys() == sockets.keys()
        assert all(count >= 1 for count in found.values())


def test_a_worker_that_does_not_end_is_killed(serve: Serve) -> None:
    deployment = serve("--drain-timeout", "1s")
    workers = deployment.workers
    workers[0].suspend()
    deployment.signal(signal.SIGTERM)
    assert deployment.end() == 6
    assert b"error: not all workers ended within 3 s: killed" in deployment.err
    wait_gone(workers)
