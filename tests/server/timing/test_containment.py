"""What one callback raises is logged, and the loop over the others goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rtcli_server.timing.containment import contained

LOG = logging.getLogger(__name__)


def test_an_exception_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    done = []
    for number in range(3):
        with contained(LOG, "number %d failed", number):
            if number == 1:
                raise ValueError("of all things")
            done.append(number)
    assert done == [0, 2]
    assert "number 1 failed" in caplog.text
    assert "ValueError: of all things" in caplog.text


def test_a_cancellation_is_passed_on() -> None:
    with pytest.raises(asyncio.CancelledError), contained(LOG, "cancelled"):
        raise asyncio.CancelledError
