"""The names that adapters of other packages import: they last, and docs/adapters.md describes them."""

from __future__ import annotations

import re
from pathlib import Path

from rtcli.load import adapters

DOC = Path(__file__).parents[4] / "docs" / "adapters.md"
NAMES = {
    "OTHER", "Acked", "ChannelEvent", "ChannelStart", "Closing", "Data", "Endpoint", "Event", "Gap", "Hello",
    "Joined", "Left", "Opening", "Other", "Position", "Refused", "Reply", "RtcliSse", "RtcliWs", "SseAdapter",
    "Target", "Unreadable", "WsAdapter", "unreadable",
}  # fmt: skip


def test_the_names_at_the_top_of_the_package_last() -> None:
    assert set(adapters.__all__) == NAMES
    assert all(hasattr(adapters, name) for name in NAMES)


def test_every_event_and_its_fields_are_described() -> None:
    described = re.findall(r"^\| `([A-Z]\w+)\(([\w, ]+)\)`", DOC.read_text(), re.MULTILINE)
    fields = {name: tuple(text.split(", ")) for name, text in described}
    events = set(adapters.Event.__args__) - {adapters.Other}
    assert fields == {event.__name__: event._fields for event in events}
