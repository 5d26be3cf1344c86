"""A server is killed as soon as it has said that a token is revoked: the token stays revoked."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.clients.peers import token
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until

StartProcess = Callable[[str], ServerProcess]


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[StartProcess]:
    """Start `rtcli serve` on a store; what still runs is killed at the end."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(store: str) -> ServerProcess:
            home = tmp_path / str(next(count))
            home.mkdir()
            server = ServerProcess(home, store)
            stack.callback(server.kill)
            server.start_now()
            return server

        yield start


def revoke(server: ServerProcess, jti: str) -> None:
    """Revoke a token; the server has said that it is done."""
    headers = {"Authorization": f"Bearer {token('root', scope='admin')}"}
    answer = httpx.post(
        f"{server.url}/api/v1/revocations", headers=headers, json={"jti": jti}, trust_env=False
    )
    assert answer.status_code == 201, answer.text


def is_refused(server: ServerProcess, jti: str) -> bool:
    """Whether a token of that name is refused, and not for another reason."""
    headers = {"Authorization": f"Bearer {token('7', token_id=jti)}"}
    status = httpx.head(f"{server.url}/api/v1/events/stream", headers=headers, trust_env=False).status_code
    assert status in {200, 401}
    return status == 401


@pytest.mark.timeout(600)
def test_a_sqlite_log_keeps_what_was_revoked_before_a_kill(
    tmp_path: Path, start_process: StartProcess, soak: bool
) -> None:
    server = start_process(f"sqlite:{tmp_path / 'rt.db'}")
    for turn in range(50 if soak else 2):
        assert not is_refused(server, f"t{turn}")
        revoke(server, f"t{turn}")
        server.stop(signal.SIGKILL)
        server.start_now()
        assert all(is_refused(server, f"t{earlier}") for earlier in range(turn + 1))
        assert not is_refused(server, "another")


@pytest.mark.system
@pytest.mark.timeout(600)
def test_with_redis_the_other_instance_and_the_next_life_know_it(
    redis_of_session: RedisServer, start_process: StartProcess, soak: bool
) -> None:
    redis_of_session.command("FLUSHALL")
    killed, other = (start_process(redis_of_session.url) for _ in range(2))
    slowest_s = 0.0
    for turn in range(50 if soak else 2):
        revoke(killed, f"t{turn}")
        began = time.monotonic()
        killed.stop(signal.SIGKILL)
        wait_until(lambda turn=turn: is_refused(other, f"t{turn}"))  # type: ignore[misc] # of this turn
        slowest_s = max(slowest_s, time.monotonic() - began)
        killed.start_now()
        for server in (killed, other):
            assert all(is_refused(server, f"t{earlier}") for earlier in range(turn + 1))
            assert not is_refused(server, "another")
    print(f"the other instance knew it after {slowest_s:.2f} s at most")  # noqa: T201 - for docs/reliability.md
