from __future__ import annotations

import pytest

from rtcli.protocol.codes import ErrorCode
from rtcli_server.session import replies
from rtcli_server.session.decisions import Reply

AT = '"timestamp":"1970-01-01T00:00:01.500Z"'


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (replies.pong("p", 1.5), f'{{"type":"pong","id":"p",{AT},"data":{{}}}}'),
        (replies.pong(None, 1.5), f'{{"type":"pong",{AT},"data":{{}}}}'),
        (replies.ping(1.5), f'{{"type":"ping",{AT}}}'),
        (
            replies.token_expiring(0, 1.5),
            f'{{"type":"token_expiring",{AT},"data":{{"expires_at":"1970-01-01T00:00:00.000Z"}}}}',
        ),
        (
            replies.refreshed(0, "r", 1.5),
            f'{{"type":"refreshed","id":"r",{AT},"data":{{"expires_at":"1970-01-01T00:00:00.000Z"}}}}',
        ),
        (
            replies.error(ErrorCode.FORBIDDEN, "f", 1.5),
            f'{{"type":"error","id":"f",{AT},"data":{{"code":"forbidden","message":"Not allowed"}}}}',
        ),
        (
            replies.error(
                ErrorCode.UNKNOWN_TYPE, None, 1.5, text="Unknown message type: x", retry_after_ms=0
            ),
            (
                f'{{"type":"error",{AT},"data":{{"code":"unknown_type","message":"Unknown message type: x",'
                '"retry_after_ms":0}}'
            ),
        ),
    ],
)
def test_on_the_wire(reply: Reply, text: str) -> None:
    assert reply.text.decode() == text
