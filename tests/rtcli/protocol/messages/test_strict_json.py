from __future__ import annotations

import json

import pytest
from hypothesis import given

from rtcli.protocol.messages.strict_json import MAX_DEPTH, NotAcceptedError, check_text, parse
from tests.support.protocol.strategies import json_values


@given(json_values)
def test_reads_what_is_json(value: object) -> None:
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "x", "{", "{}x", "{} {}", "\ufeff{}", "/**/{}", "{}//", "{'a':1}", '{"a":1,}', "[1,]",
        "{a:1}",
        '"\n"', '"\t"', '"\\q"', '"\\u12"', "01", "+1", "1.", ".5", "0x1", "1_0", "nan", "True", "undefined",
        "\u00a0{}", "NaN", "Infinity", "-Infinity", '{"a":NaN}', "1e999", "-1e999", "[1e400]", "9" * 5_000,
        '{"a":1,"a":1}', '[{"a":{"b":1,"b":2}}]', '{"a":1,"\\u0061":1}',
        '"\\ud800"', '"\\udc00\\ud800"', '"\ud800"', '{"\\ud800":1}', '["\\u0000"]', '{"a\\u0000":1}',
        '"\\u0000"',
        "[" * 1_000, "[" * 100_000, '{"a":' * 100_000, "[" * 17 + "]" * 17, '{"a":' * 17 + "1" + "}" * 17,
    ],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(NotAcceptedError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "null", "-0", "1E4", "9007199254740993", "1e-999", '"\\ud83d\\ude00"', '"\u202e"',
        '"\ufffe"', '"\x7f"',
        '"\\/"', " [ ] ", "\t\r\n{}", "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH, "9" * 4_000, '{"a":{"a":1},"b":{"a":1}}', '{"":0}',
        json.dumps({str(i): i for i in range(10_000)}),
        '"' + "e" + "\u0301" * 10_000 + '"',
    ],
)  # fmt: skip
def test_takes(text: str) -> None:
    assert parse(text) == json.loads(text)


def test_depth_counts_objects_and_arrays_and_not_what_is_in_them() -> None:
    assert parse("[" * MAX_DEPTH + '"text"' + "]" * MAX_DEPTH)
    with pytest.raises(NotAcceptedError, match="deep"):
        parse("[" * MAX_DEPTH + "{}" + "]" * MAX_DEPTH)
    with pytest.raises(NotAcceptedError, match="deep"):
        parse('[1,"x",' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]")


def test_check_text() -> None:
    check_text("é🎉\n")
    for text in ("\0", "a\0", "\ud800", "x\udfff"):
        with pytest.raises(NotAcceptedError):
            check_text(text)
