from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.audit.texts import find_text, find_tokens, is_whole
from rtcli.load.audit.token import LENGTH, Token, decode_token, digest_of, encode_token, read_remains
from tests.support.fakes.altering_server import escaped

rests = st.text(st.characters(codec="utf-8"), max_size=60)
seeds = st.integers(0, 2**32)


def message(rest: str) -> str:
    return encode_token(1, 2, 3, 4_000_000, 5, len(rest), digest_of(rest)).decode() + rest


def is_found(data: bytes) -> bool:
    """Whether the one token in the data is found, and its text known to be whole."""
    raw, places = find_tokens(data)
    (at,) = places
    token = decode_token(raw[at : at + LENGTH])
    assert token is not None
    return find_text(token, raw, at) is not None


@given(rests)
def test_a_text_is_whole_as_it_was_sent_and_not_otherwise(rest: str) -> None:
    text = message(rest)
    token = decode_token(text[:LENGTH].encode())
    assert token is not None
    assert is_whole(token, text)
    assert not is_whole(token, text + "x")
    assert not is_whole(token, "x" + text)
    if rest:
        assert not is_whole(token, text[:-1])
        assert not is_whole(token, text[:-1] + ("x" if rest[-1] != "x" else "y"))


@given(rests, rests, rests)
def test_a_text_is_found_as_it_is_in_anything(before: str, rest: str, behind: str) -> None:
    data = f"{before.replace('~rt', '')} {message(rest)}{behind.replace('~rt', '')}"
    if "~rt" not in rest:
        assert is_found(data.encode())


@given(rests, seeds)
def test_a_text_is_found_in_json_with_any_escapes(rest: str, seed: int) -> None:
    if "~rt" in rest:
        return
    written = escaped(message(rest), Random(seed))
    assert is_found(f'{{"n":1,"text":{written}}}'.encode())
    assert is_found(f'{{"n":1,"text":{escaped("alice: " + message(rest), Random(seed))},"m":2}}'.encode())
    assert is_found(f'42["said",{written}]'.encode())


@given(rests, st.booleans())
def test_a_text_is_found_in_json_within_json(rest: str, ascii_only: bool) -> None:
    if "~rt" in rest:
        return
    inner = json.dumps({"text": message(rest)}, ensure_ascii=ascii_only)
    assert is_found(json.dumps({"event": "said", "data": inner}, ensure_ascii=ascii_only).encode())


@given(rests, seeds, st.data())
def test_another_text_in_json_is_noticed(rest: str, seed: int, data: st.DataObject) -> None:
    text = message(rest)
    at = data.draw(st.integers(0, len(rest)))
    other = text[: LENGTH + at] + data.draw(rests) + rest[at + data.draw(st.integers(0, 3)) :]
    if not other.startswith(text) and "~rt" not in other[3:]:
        assert not is_found(f'{{"text":{escaped(other, Random(seed))}}}'.encode())


def test_a_text_that_is_escaped_twice_or_as_html_is_not_the_one_that_was_sent() -> None:
    text = message(' say "<hi>" \\')
    twice = json.dumps(json.dumps(text)[1:-1])
    assert not is_found(f'{{"text":{twice}}}'.encode())
    assert not is_found(text.replace("<", "&lt;").encode())


def test_the_quote_that_ends_a_json_string_is_not_taken_for_one_of_the_text() -> None:
    text = message(' she said "hi"')
    assert is_found(json.dumps({"text": text}).encode())
    assert not is_found(json.dumps({"text": text[:-1]}).encode())
    assert not is_found(json.dumps({"text": text.replace('"hi"', "hi")}).encode())


def test_several_tokens_are_found_with_their_places() -> None:
    data = f"[{json.dumps(message(' a'))},{json.dumps(message(' b'))}]".encode()
    raw, places = find_tokens(data)
    assert raw == data
    assert [raw[at + LENGTH : at + LENGTH + 2] for at in places] == [b" a", b" b"]


@given(st.integers(0, LENGTH - 1))
def test_what_is_left_of_a_cut_token_is_read(length: int) -> None:
    remains = read_remains(encode_token(1, 2, 3, 4_000_000, 5)[:length] + b'"}')
    if length < 3 + 16:  # base64 of 12 bytes
        assert remains is None
    else:
        assert remains is not None
        assert remains[:3] == Token(1, 2, 3, 0, 0)[:3]
        assert remains.sent == (4_000_005 if length >= 3 + 24 else None)
