"""The one check of what is found in a store or comes from a peer: ours passes, everything else is foreign."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.messages.strict_json import NotAcceptedError, parse
from rtcli.protocol.publication import NEW_MESSAGE, Publication, chat_data
from rtcli_server.broker.coordinator import Notification
from rtcli_server.broker.validation import (
    CONTROL,
    ForeignDataError,
    check_member,
    check_notification,
    check_row,
    is_instance_id,
    is_room_channel,
)
from tests.support.brokers.foreign_content import (
    FORGED_EVENTS,
    FORGED_MESSAGES,
    FORGED_OBJECTS,
    VALID_MESSAGE,
)
from tests.support.brokers.running import ROOM

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def check(
    channel: str,
    event: object,
    data: object,
    *,
    epoch: object = "k3f9",
    offset: object = 42,
    time_ms: object = 1,
) -> Publication:
    return check_row(channel, epoch=epoch, offset=offset, event=event, data=data, time_ms=time_ms)


def message(**more: object) -> bytes:
    return json.dumps(VALID_MESSAGE | more).encode()


@given(texts, st.integers(-(2**53), 2**53) | st.sampled_from(["ann", "Ünï"]), st.none() | texts)
def test_every_message_that_a_server_writes_passes(content: str, sender: int | str, id_: str | None) -> None:
    data = chat_data(
        room="general",
        content=content,
        sender_id=sender,
        sender_name="Ann",
        timestamp="2026-05-01T09:30:00.250Z",
        id=id_,
    )
    assert check(ROOM, NEW_MESSAGE, data) == Publication(ROOM, "k3f9", 42, NEW_MESSAGE, data, 1)


@given(st.dictionaries(texts, values, max_size=4))
def test_every_event_that_a_server_writes_passes(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        parse(text)
    except NotAcceptedError:
        return  # nobody could publish it
    for channel in ("user:7", "all"):
        assert check(channel, "order.paid", text.encode()).data == text.encode()


@pytest.mark.parametrize("data", [message(new="of a later version"), message(id="c-1"), message(id=None)])
def test_other_versions_may_write_other_spaces_and_more(data: bytes) -> None:
    assert check(ROOM, NEW_MESSAGE, data).data == data


@pytest.mark.parametrize("event", FORGED_EVENTS)
def test_events_that_nobody_may_publish_are_foreign(event: str) -> None:
    for channel in ("user:7", "all"):
        with pytest.raises(ForeignDataError):
            check(channel, event, b"{}")
    if event != NEW_MESSAGE:
        with pytest.raises(ForeignDataError):
            check(ROOM, event, message())


@pytest.mark.parametrize("data", FORGED_OBJECTS, ids=range(len(FORGED_OBJECTS)))
def test_data_that_are_no_object_are_foreign(data: bytes) -> None:
    for channel, event in ((ROOM, NEW_MESSAGE), ("user:7", "tick"), ("all", "tick"), (CONTROL, CONTROL)):
        with pytest.raises(ForeignDataError):
            check(channel, event, data)


@pytest.mark.parametrize("forged", FORGED_MESSAGES, ids=range(len(FORGED_MESSAGES)))
def test_objects_of_another_shape_are_foreign_in_a_room(forged: dict[str, object]) -> None:
    for data in (msgspec.json.encode(forged), json.dumps(forged, indent=1).encode()):
        with pytest.raises(ForeignDataError):
            check(ROOM, NEW_MESSAGE, data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": "K3F9"},
        {"epoch": "k3"},
        {"epoch": b"k3f9"},
        {"offset": 0},
        {"offset": 2**63},
        {"offset": "42"},
        {"offset": True},
        {"time_ms": -1},
        {"time_ms": 253_402_300_800_000},
        {"time_ms": 1.5},
        {"event": b"tick"},
        {"event": None},
        {"data": "{}"},
        {"data": None},
    ],
)
def test_a_row_of_other_types_is_foreign(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {"event": "tick", "data": b"{}"}
    check("all", **right)
    with pytest.raises(ForeignDataError):
        check("all", **(right | wrong))


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda inner: b'{"a":' + inner + b"}"))
def test_whatever_passes_is_one_object_for_every_parser(data: bytes) -> None:
    try:
        check("all", "tick", data)
    except ForeignDataError:
        return
    assert isinstance(parse(data.decode()), dict)
    assert (data[:1], data[-1:]) == (b"{", b"}")


def test_a_notification_is_about_a_user_in_a_room() -> None:
    good = Notification("typing", "7", "Ann", is_typing=True, by="0a1b2c3d")
    assert check_notification(ROOM, good) is good
    for channel, bad in (
        ("all", good),
        (ROOM, Notification("joined", "", "Ann")),
        (ROOM, Notification("joined", "a\nb", "Ann")),
        (ROOM, Notification("joined", "7", "")),
        (ROOM, Notification("left", "7", "\u202eAnn")),
        (ROOM, Notification("typing", "7", "Ann", by="me and you")),
    ):
        with pytest.raises(ForeignDataError):
            check_notification(channel, bad)


def test_members_instances_and_rooms_have_names_that_are_possible() -> None:
    assert check_member("7", "Ann") == ("7", "Ann")
    for user, name in (("", "Ann"), ("7", "\u3164"), ("__proto__", "Ann")):
        with pytest.raises(ForeignDataError):
            check_member(user, name)
    assert [is_instance_id(text) for text in ("0a1b2c3d", "0a1b2c3", "0a1b2c3d ", "0A1B2C3D")] == [
        True,
        False,
        False,
        False,
    ]
    assert [is_room_channel(text) for text in ("room:a", "room:", "user:a", "room:a  b")] == [
        True,
        False,
        False,
        False,
    ]


def test_exclusions_are_read_or_hide_the_whole() -> None:
    row = {"epoch": "k3f9", "offset": 42, "event": "e", "data": b"{}", "time_ms": 1}
    found = check_row("all", **row, exclude=b'{"users":["7"],"connections":[]}')
    assert found.exclude == Exclusion(frozenset({"7"}))
    assert check_row("all", **row, exclude=None).exclude is None
    for exclude in (b"", b"{}", b"[]", "{}", 7, b'{"users":[7]}'):
        with pytest.raises(ForeignDataError):
            check_row("all", **row, exclude=exclude)
