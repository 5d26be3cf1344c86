"""What instances ask of each other, as it stands in the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli_server.auth.claims import Grant, Principal
from rtcli_server.broker import ForeignDataError
from rtcli_server.cluster.control import Kick, Refresh, decode_command, encode_command

PRINCIPAL = Principal(
    "7", "Ann", 1_700_000_000.5, frozenset({"publish"}), (Grant("a*", frozenset({"join"})),)
)


@pytest.mark.parametrize("command", [Kick("7"), Refresh("abcd-1", PRINCIPAL)])
def test_a_command_is_read_back(command: Kick | Refresh) -> None:
    data = encode_command(command)
    assert data.startswith(b"{")  # a publication holds one object
    assert decode_command(data) == command


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"explode"}',
        b'{"type":"kick"}',
        b'{"type":"kick","user_id":7}',
        b'{"type":"kick","user_id":"a\\nb"}',
        b"\xff",
        encode_command(Refresh("abcd-1", replace(PRINCIPAL, name="\u3164"))),
        encode_command(Refresh("abcd-1", replace(PRINCIPAL, user_id=""))),
    ],
)
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(ForeignDataError):
        decode_command(data)
