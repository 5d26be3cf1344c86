"""Messages in several frames, and the bodies of close frames, without a socket."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rtcli.protocol.codes import CloseCode
from rtcli_server.transports.websocket.frames import FragmentedMessage, FrameError, check_close_payload


def fragments(*, is_text: bool = True) -> FragmentedMessage:
    return FragmentedMessage(is_text=is_text, on_late=lambda: None)


@given(text=st.text(), cuts=st.lists(st.integers(0, 60), max_size=8))
def test_a_text_cut_anywhere_is_the_same_text(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    message = fragments()
    for number, (start, end) in enumerate(pairwise(edges), 1):
        message.add(data[start:end], final=number == len(edges) - 1, max_bytes=1_000, max_count=64)
    assert message.text() == text


def test_a_binary_message_has_no_text() -> None:
    message = fragments(is_text=False)
    message.add(b"\xff", final=True, max_bytes=10, max_count=2)
    assert message.text() is None


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"12345", b"123456"], CloseCode.TOO_BIG),
        ([b""] * 4, CloseCode.REFUSED),
        ([b"\xe2\x82", b"x"], CloseCode.INVALID_PAYLOAD),
        ([b"\xff"], CloseCode.INVALID_PAYLOAD),
    ],
)
def test_limits(parts: list[bytes], code: CloseCode) -> None:
    message = fragments()
    for part in parts[:-1]:
        message.add(part, final=False, max_bytes=10, max_count=3)
    with pytest.raises(FrameError) as error:
        message.add(parts[-1], final=False, max_bytes=10, max_count=3)
    assert error.value.code == code


def test_a_character_that_is_not_finished_at_the_end() -> None:
    with pytest.raises(FrameError) as error:
        fragments().add(b"\xe2\x82", final=True, max_bytes=10, max_count=3)
    assert error.value.code == CloseCode.INVALID_PAYLOAD


def test_the_deadline_calls_on_late() -> None:
    late: list[bool] = []
    FragmentedMessage(is_text=True, on_late=lambda: late.append(True)).on_timer(0.0)
    assert late == [True]


@given(st.binary(max_size=125))
def test_a_close_body_is_good_or_gets_a_code(payload: bytes) -> None:
    error = check_close_payload(payload)
    assert error is None or error.code in {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_PAYLOAD}
