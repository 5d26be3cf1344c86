"""The same bytes to us and through nginx, cut everywhere: both find the same requests in them, or refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from tests.support.fuzz.server import Request, Server
from tests.support.http.cases import CASES, Asked, Case
from tests.support.http.doors import exchange, statuses
from tests.support.ports import free_port
from tests.support.servers.nginx import nginx
from tests.support.servers.server_process import LOOPBACK

EVERY_DAY = 5  # cuts of each case
REFUSALS = {400, 405, 501, 505}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that notes what its application is asked."""
    with contextlib.closing(Server(fast=False)) as server:
        yield server


@pytest.fixture(scope="module")
def doors(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of the server: its own, and that of an nginx before it."""
    port = free_port()
    listening = server.loop.run_until_complete(server.loop.create_server(server.protocol, LOOPBACK, port))
    with nginx(tmp_path_factory.mktemp("nginx") / "nginx", [port]) as front:
        yield {"directly": port, "through nginx": front.port}
    listening.close()


def cuts(case: Case, *, all_of_them: bool) -> Sequence[int]:
    """Where to cut: everywhere, or at a few places."""
    size = len(case.sent)
    return (
        range(1, size)
        if all_of_them
        else sorted({1 + number * (size - 2) // EVERY_DAY for number in range(EVERY_DAY)})
    )


def asked(request: Request) -> Asked:
    """What a request is about; nginx changes header fields and the version."""
    query = b"?" + request.query if request.query else b""
    return Asked(request.method, (request.path + query).decode(), request.body)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_same_requests_wherever_the_bytes_are_cut(
    server: Server, doors: dict[str, int], case: Case, soak: bool
) -> None:
    answered = set()
    for door, port in doors.items():
        strict = case.strict and door == "directly"
        for at in cuts(case, all_of_them=soak):
            server.recorder.requests = []
            answer = server.loop.run_until_complete(exchange(port, case.sent[:at], case.sent[at:]))
            understood = [asked(request) for request in server.recorder.requests]
            got = list(statuses(answer, [each.method for each in understood]))
            where = f"{door}, cut at {at}: {understood}, {got}"
            assert understood == ([] if strict else list(case.asked)), where
            refusal = got[len(understood) :]
            assert len(refusal) == (case.refused or strict), where
            assert REFUSALS.issuperset(refusal), where
            if not strict:
                answered.add(tuple(got[: len(understood)]))
    assert len(answered) == 1, answered
    server.check_no_complaints()
