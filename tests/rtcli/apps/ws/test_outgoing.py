from __future__ import annotations

import pytest

from rtcli.apps.ws.outgoing import (
    BadInputError,
    Close,
    Encoding,
    Help,
    Outgoing,
    Ping,
    Pong,
    Send,
    read_close,
    read_message,
)


@pytest.mark.parametrize(
    ("data", "encoding", "slash", "read"),
    [
        ("hä".encode(), None, False, Send("hä")),
        (b"/ping", None, False, Send("/ping")),
        (b"/ping", None, True, Ping()),
        (b"/ping me", None, True, Ping(b"me")),
        (b"/pong", None, True, Pong()),
        (b"/help", None, True, Help()),
        (b"//x", None, True, Send("/x")),
        (b"//x", None, False, Send("//x")),
        (b"/close", None, True, Close()),
        (b"/quit", None, True, Close()),
        (b"/close 4000 so long", None, True, Close(4000, "so long")),
        (b"/binary 00ff", None, True, Send(b"\0\xff")),
        (b"00 FF", Encoding.HEX, False, Send(b"\0\xff")),
        (b"/ping", Encoding.HEX, True, Ping()),
        (b"AP8Q", Encoding.BASE64, False, Send(b"\0\xff\x10")),
        (b"\xff/ping", Encoding.RAW, True, Send(b"\xff/ping")),
    ],
)
def test_what_is_sent(data: bytes, encoding: Encoding | None, slash: bool, read: Outgoing) -> None:
    assert read_message(data, encoding, slash=slash) == read


@pytest.mark.parametrize(
    ("data", "encoding", "says", "hint"),
    [
        (b"\xff", None, "is not UTF-8 text", "--binary"),
        (b"0g", Encoding.HEX, "is not hex", "00 ff 10"),
        (b"000", Encoding.HEX, "is not hex", "00 ff 10"),
        (b"a", Encoding.BASE64, "is not base64", "AP8Q"),
        (b"/pin", None, "unknown command /pin", "did you mean /ping? //pin sends the text /pin"),
        (b"/xyz", None, "unknown command /xyz", "//xyz sends"),
        (b"/close 999", None, "no close code that can be sent: 999", "3000 to 4999"),
        (b"/close 1006", None, "no close code", "3000"),
        (b"/close 4000 " + b"x" * 124, None, "more than 123 bytes", "5.5"),
        (b"/ping " + b"x" * 126, None, "more than 125 bytes", "5.5"),
        (b"/binary xx", None, "is not hex", "00 ff 10"),
    ],
)
def test_what_cannot_be_sent(data: bytes, encoding: Encoding | None, says: str, hint: str) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        read_message(data, encoding, slash=True)
    assert hint in caught.value.hint
    assert caught.value.at("line 3").message.startswith("line 3 ")


def test_a_close_code_of_an_option() -> None:
    assert read_close("") == Close()
    assert read_close("1001") == Close(1001)
    with pytest.raises(BadInputError):
        read_close("bye")
