"""What programs use of `import rtcli`: a promise, and nothing in it asks for what no user knows."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import rtcli

NAMES = [
    "Acked", "CannotConnectError", "CaughtUp", "Client", "ClientEvent", "ClosedError", "Connected",
    "ConnectionWarning", "Direct", "Event", "EventStream", "Feed", "Gap", "JoinRefused", "Joined", "Left",
    "Lost", "Message", "NotConfirmedError", "Opened", "Position", "Presence", "Reconnected", "RefusedError",
    "Rejected", "Room", "RoundTrip", "RtcliError", "StreamEvent", "StreamUpdate", "TypingChanged",
    "UnexpectedAnswerError", "Updates", "UsageError", "__version__", "blocking", "connect", "events",
]  # fmt: skip
BLOCKING = ["Client", "EventStream", "Reader", "connect", "events"]
CALLED = [rtcli.connect, rtcli.events, rtcli.blocking.connect, rtcli.blocking.events]


def test_the_list() -> None:
    assert sorted(rtcli.__all__) == NAMES
    assert sorted(rtcli.blocking.__all__) == BLOCKING


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there(name: str) -> None:
    assert getattr(rtcli, name) is not None


@pytest.mark.parametrize("name", BLOCKING)
def test_each_blocking_one_is_there(name: str) -> None:
    assert getattr(rtcli.blocking, name).__module__.startswith("rtcli.blocking.")


def test_others_are_not() -> None:
    with pytest.raises(AttributeError, match="'rtcli' has no attribute 'nothing'"):
        rtcli.nothing  # type: ignore[attr-defined]  # noqa: B018 - the access is what is tested


def test_nothing_is_imported_before_it_is_used() -> None:
    heavy = "{'asyncio', 'httpx', 'msgspec', 'ssl', 'websockets'}"
    program = f"import sys, rtcli, rtcli.blocking; print({heavy} & sys.modules.keys() or 'none')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "none\n"


def methods() -> list[tuple[str, Any]]:
    """Every public method of every public class, and what makes the classes."""
    classes = [rtcli.Client, rtcli.EventStream, rtcli.Room, rtcli.Feed, rtcli.Updates]
    classes += [rtcli.blocking.Client, rtcli.blocking.EventStream, rtcli.blocking.Reader]
    found: list[tuple[str, Any]] = [(one.__name__, one) for one in CALLED]
    for one in classes:
        found += [
            (f"{one.__module__}.{one.__name__}.{name}", method)
            for name, method in inspect.getmembers(one, inspect.isfunction)
            if not name.startswith("_")
        ]
    return found


@pytest.mark.parametrize(("name", "called"), methods())
def test_a_signature_asks_for_nothing_that_only_we_know(name: str, called: Any) -> None:  # noqa: ANN401 - any function
    known = {
        "str", "bytes", "int", "float", "bool", "None", "Iterable", "Position", "ssl", "SSLContext",
        "TokenFunction", "Headers", "Self",
    }  # fmt: skip
    for parameter in inspect.signature(called).parameters.values():
        if parameter.name != "self":
            words = set(re.findall(r"[A-Za-z]+", str(parameter.annotation)))
            assert words <= known, f"{name}({parameter.name}: {parameter.annotation})"


@pytest.mark.parametrize(
    ("asynchronous", "blocking"),
    [(rtcli.Client, rtcli.blocking.Client), (rtcli.EventStream, rtcli.blocking.EventStream)],
)
def test_the_blocking_ones_are_called_alike(asynchronous: type, blocking: type) -> None:
    """What both have takes the same arguments. The blocking client is for scripts, and leaves some out."""
    assert inspect.signature(asynchronous) == inspect.signature(blocking)
    both = [
        name for name, _ in inspect.getmembers(blocking, inspect.isfunction) if hasattr(asynchronous, name)
    ]
    for name in [name for name in both if not name.startswith("_")]:
        ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (asynchronous, blocking))
        assert ours == theirs, name


def test_errors_are_one_family() -> None:
    errors = [getattr(rtcli, name) for name in NAMES if name.endswith("Error")]
    assert all(issubclass(error, rtcli.RtcliError) for error in errors)
    assert issubclass(rtcli.UsageError, ValueError)
    assert len({error.exit_code for error in errors if error is not rtcli.RtcliError}) >= 4
