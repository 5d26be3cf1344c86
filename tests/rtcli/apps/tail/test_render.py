from __future__ import annotations

import json

import pytest

from rtcli import Gap, Position, StreamEvent
from rtcli.apps.tail.render import Output, ReceivedEvent, gap_record, gap_sentence, renderer
from rtcli.protocol.sse import ServerSentEvent, SSEParser
from rtcli.terminal.clock import clock_time

CHAT = (
    '{"room":"general","content":"hi\\n\\u001b[31m \u202e","sender_id":7,"sender_name":"A\u009b",'
    '"timestamp":"2026-05-01T09:30:00.250Z"}'
)


def seen(data: str, *, event: str = "new_message", identifier: str = "general=aaaa-1") -> ReceivedEvent:
    return ReceivedEvent(StreamEvent(event, data, identifier), 1_777_000_000.0)


def write(output: Output, item: ReceivedEvent, *, for_terminal: bool = False) -> str:
    return renderer(output, for_terminal=for_terminal)(item).decode()


def test_a_line_for_a_person() -> None:
    line = write(Output.DEFAULT, seen(CHAT))
    clock = clock_time("2026-05-01T09:30:00.250Z")
    assert line == f"{clock}  general  new_message  A\\x9b: hi\\n\\x1b[31m \\u202e\n"
    line = write(Output.DEFAULT, seen('{"a": 1}', event="deploy"))
    assert line.endswith('  -  deploy  {"a": 1}\n')


def test_the_data_alone_is_one_line_and_keeps_its_value() -> None:
    assert json.loads(write(Output.DATA, seen(CHAT))) == json.loads(CHAT)
    assert write(Output.DATA, seen(CHAT)).count("\n") == 1
    assert "\u202e" not in write(Output.DATA, seen(CHAT))
    assert write(Output.DATA, seen('{\n "a":\n 1}')) == '{"a":1}\n'
    assert write(Output.DATA, seen("two\nlines \x1b")) == "two\\nlines \\x1b\n"


def test_a_record() -> None:
    record = json.loads(write(Output.JSON, seen(CHAT)))
    assert list(record) == ["type", "ts", "id", "event", "room", "data"]
    assert record["ts"] == "2026-05-01T09:30:00.250Z"
    assert record["data"] == json.loads(CHAT)
    assert "\u202e" not in write(Output.JSON, seen(CHAT))


@pytest.mark.parametrize("data", ["no json", "{", "NaN", '{"a":1}x', "", "\ud800"])
def test_data_that_is_no_json_is_a_string_and_says_so(data: str) -> None:
    record = json.loads(write(Output.JSON, seen(data.encode("utf-8", "replace").decode(), event="x")))
    assert record["data_json"] is False
    assert "room" not in record


@pytest.mark.parametrize("data", ["null", "7", '"text"', "[1]"])
def test_any_json_is_json(data: str) -> None:
    record = json.loads(write(Output.JSON, seen(data)))
    assert record["data"] == json.loads(data)
    assert "data_json" not in record


@pytest.mark.parametrize("data", ["one", "two\nlines", "\x1b]52;c;eA==\x07", "", "ä\u202e"])
def test_the_wire_form_can_be_read_back_from_a_pipe_and_is_safe_on_a_terminal(data: str) -> None:
    event = StreamEvent("message", data, "a=aaaa-1")
    raw = renderer(Output.RAW, for_terminal=False)(ReceivedEvent(event, 0.0))
    assert SSEParser().feed(raw) == [ServerSentEvent("message", data, "a=aaaa-1")]
    shown = renderer(Output.RAW, for_terminal=True)(ReceivedEvent(event, 0.0)).decode()
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_gap_as_a_record_and_in_words() -> None:
    gap = Gap("a", 3, "trimmed", Position("aaaa", 1), Position("aaaa", 4))
    facts = {"room": "a", "from": "aaaa-1", "to": "aaaa-4", "lost": 3, "reason": "trimmed"}
    assert gap_record(gap, "now") == {"type": "gap", "ts": "now"} | facts
    assert gap_sentence(gap) == "gap in #a: 3 events will not come (trimmed)"


@pytest.mark.parametrize(("room", "name"), [("~me", "your events"), ("~all", "broadcasts")])
def test_a_gap_in_events_has_a_name(room: str, name: str) -> None:
    gap = Gap(room, None, "epoch_changed")
    facts = {"channel": name, "from": None, "to": None, "lost": None, "reason": "epoch_changed"}
    assert gap_record(gap, "now") == {"type": "gap", "ts": "now"} | facts
    assert gap_sentence(gap) == f"gap in {name}: an unknown number of events will not come (epoch_changed)"
