from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.audit import token
from rtcli.load.audit.token import LENGTH, MARK, Token, decode_token, encode_token

tokens = st.builds(
    Token,
    st.integers(0, token.MAX_RUN),
    st.integers(0, token.MAX_LOG),
    st.integers(0, token.MAX_NUMBER),
    st.integers(0, token.MAX_TIME),
    st.integers(0, token.MAX_LAG),
    st.integers(0, token.MAX_TEXT),
    st.integers(0, 0xFF_FFFF),
    st.integers(0, token.MAX_ROOM),
)


@given(tokens)
def test_what_is_written_is_read_back(value: Token) -> None:
    text = encode_token(*value)
    assert len(text) == LENGTH
    assert text.find(MARK) == 0
    assert decode_token(text) == value


@given(tokens)
def test_it_survives_json_and_has_nothing_that_is_escaped(value: Token) -> None:
    text = encode_token(*value)
    assert json.dumps(text.decode()).encode() == b'"' + text + b'"'


@given(tokens, st.integers(0, LENGTH - 1), st.integers(0, 255))
def test_a_changed_byte_is_noticed(value: Token, at: int, byte: int) -> None:
    text = bytearray(encode_token(*value))
    before = text[at]
    text[at] = byte
    assert decode_token(bytes(text)) == (value if byte == before else None)


@given(st.binary(max_size=64))
def test_anything_else_is_no_token(data: bytes) -> None:
    assert decode_token(data) is None
    assert decode_token(MARK + data[:40] + b"~") is None or len(data) >= 40


@given(tokens, st.integers(0, LENGTH - 1))
def test_a_cut_token_is_no_token(value: Token, length: int) -> None:
    assert decode_token(encode_token(*value)[:length]) is None


def test_lag_is_cut_off_and_other_excess_refused() -> None:
    text = encode_token(1, 2, 3, 4, token.MAX_LAG + 5)
    found = decode_token(text)
    assert found is not None
    assert found.lag == token.MAX_LAG
    assert decode_token(encode_token(1, 2, 3, 4, -7)) == Token(1, 2, 3, 4, 0)
    for wrong in ((2**24, 0, 0, 0), (0, 2**24, 0, 0), (0, 0, 2**32, 0), (0, 0, 0, 2**40), (0, 0, 0, -1)):
        with pytest.raises(OverflowError):
            encode_token(*wrong, 0)
