"""What a failure is called: who failed, in which line, for whom and in which step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rtcli.load.core.failures import Failures, OwnFailure
from rtcli.load.core.timer_queue import TimerQueue
from rtcli.load.errors import AdapterFailedError
from rtcli.load.scenario.expressions import MissingDataError
from rtcli.load.scenario.steps import Hold, Location


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - that is what is asked for
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "text", "is_bug"),
    [
        (AdapterFailedError("stomp", "its send"), "a bug in the adapter `stomp`: its send", True),
        (MissingDataError("${a}: not there"), "the scenario's data do not fit: ${a}: not there", True),
        (MemoryError(), "the load generator has no memory left", False),
        (KeyError("x"), "a bug in rtcli: KeyError: 'x'", True),
    ],
)  # fmt: skip
def test_the_text_names_who_failed(error: Exception, text: str, is_bug: bool) -> None:
    seen: list[OwnFailure] = []
    failures = Failures(seen.append, worker=2)
    step = Hold(label="2.hold", location=Location(14, 3))
    failures.record(error, user="reader 3", step=step)
    assert seen == [OwnFailure(text, is_bug, 2, "for reader 3 in step 2.hold, line 14")]
    assert str(seen[0]) == f"{text}; for reader 3 in step 2.hold, line 14"


def test_a_bug_of_our_own_has_its_line() -> None:
    failures = Failures(lambda _failure: None)
    failures.record(raised(lambda: TimerQueue(lambda _error: None)))  # there is no event loop
    assert failures.first is not None
    assert failures.first.text.startswith(
        "a bug in rtcli: RuntimeError: no running event loop (rtcli/load/core/timer_queue.py:"
    )
    assert not failures.first.occasion


def test_the_first_failure_alone_is_reported() -> None:
    seen: list[OwnFailure] = []
    failures = Failures(seen.append)
    for text in ("one", "two"):
        failures.record(AdapterFailedError("odd", text))
    assert [failure.text for failure in seen] == ["a bug in the adapter `odd`: one"]
