"""What programs that build on rtcli import from `rtcli.protocol`: the list is a promise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtcli import protocol

NAMES = [
    "Claims", "CloseCode", "ErrorCode", "GapReason", "InvalidPositionError", "MessageError", "Position",
    "RoomGrant", "SSELimitError", "SSEParser", "ServerSentEvent", "create_token", "decode_server", "encode",
    "parse_position", "should_reconnect",
]  # fmt: skip


def test_the_list() -> None:
    assert sorted(protocol.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there(name: str) -> None:
    assert getattr(protocol, name).__name__ == name


def test_others_are_not() -> None:
    with pytest.raises(AttributeError, match=r"'rtcli\.protocol' has no attribute 'nothing'"):
        protocol.nothing  # type: ignore[attr-defined]  # noqa: B018 - the access is what is tested


def test_nothing_is_imported_before_it_is_used() -> None:
    program = "import sys, rtcli.protocol; print({'jwt', 'msgspec'} & sys.modules.keys() or 'none')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "none\n"
