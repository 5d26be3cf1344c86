"""What an operator is told of a store: each cause once, and the end."""

from __future__ import annotations

import pytest

from rtcli_server.broker.health import StoreHealth


def test_each_cause_is_one_line_until_the_store_works_again(caplog: pytest.LogCaptureFixture) -> None:
    health = StoreHealth("the log")
    for _ in range(3):
        health.failed("full", "no space")
        health.failed("away", "no answer")
        health.symptom("deaf", "nothing arrives")
    assert health.works is False
    for _ in range(3):
        health.worked()
    health.failed("full", "no space")
    assert caplog.messages == [
        "the log: not ready: no space",
        "the log: not ready: no answer",
        "the log: ready again: publications are taken and delivered; over is: full, away",
        "the log: not ready: no space",
    ]


def test_a_symptom_is_told_when_nobody_knows_the_cause(caplog: pytest.LogCaptureFixture) -> None:
    health = StoreHealth("the log")
    health.worked()
    assert health.works
    for _ in range(3):
        health.symptom("deaf", "nothing arrives")
    assert caplog.messages == ["the log: not ready: nothing arrives"]
