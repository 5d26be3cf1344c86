"""What the parent of the workers does when none can be started; the rest is in tests/e2e/test_workers.py."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from rtcli_server.process.supervisor import WorkersError, supervise
from tests.support.servers.watch import descriptors


def test_no_process_left_to_start_a_worker_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fork() -> NoReturn:
        tries.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = descriptors(os.getpid())
    with pytest.raises(WorkersError, match=r"worker 1 could not be started \(Resource temporarily"):
        supervise(2, lambda _number, _tell: 0, on_ready=lambda: None, stop_s=1.0)
    assert descriptors(os.getpid()) == before
    assert len(tries) == 1  # nobody else is started when it is over
