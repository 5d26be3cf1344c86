"""Events for a connection of another instance, as they stand in the log."""

from __future__ import annotations

import pytest
from msgspec import Raw, structs

from rtcli_server.broker import ForeignDataError
from rtcli_server.cluster.direct import Direct, channel_of, decode_direct, encode_direct, instance_of

DIRECT = Direct("0a1b2c3d-0123456789ab", 1_700_000_000_000, Raw(b'{"order":42,"big":1%b}' % (b"0" * 30)))


def test_it_is_read_back() -> None:
    assert decode_direct(encode_direct(DIRECT)) == DIRECT
    assert channel_of(instance_of(DIRECT.connection_id)) == "direct:0a1b2c3d"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"connection_id":7,"until_ms":1,"data":{}}',
        b'{"connection_id":"a","until_ms":1.5,"data":{}}',
        b'{"connection_id":"a","until_ms":1}',
        encode_direct(structs.replace(DIRECT, data=Raw(b"[]"))),
        encode_direct(structs.replace(DIRECT, data=Raw(b"7"))),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ForeignDataError):
        decode_direct(data)
