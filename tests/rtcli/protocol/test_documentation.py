"""docs/protocol.md says what the code does: its tables and examples, read by the code itself."""

from __future__ import annotations

import json
import re
from typing import get_args

import msgspec
import pytest

from rtcli.protocol import publication
from rtcli.protocol.codes import (
    ERROR_TEXT,
    NOT_CONFIRMED,
    NOT_CONFIRMED_NO_ID,
    CloseCode,
    ErrorCode,
    GapReason,
    should_reconnect,
)
from rtcli.protocol.messages import MAX_MEMBERS, MAX_MESSAGE_BYTES, decode_client, decode_server
from rtcli.protocol.messages import server as server_messages
from rtcli.protocol.messages.client import MAX_CONTENT, MAX_HISTORY, MAX_ID, ClientMessage
from rtcli.protocol.messages.strict_json import MAX_DEPTH
from rtcli.protocol.position import MAX_CURSOR_BYTES, format_cursor, parse_cursor
from rtcli_server.session import settings as session_settings
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    match = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[1]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def word(cell: str) -> str:
    """The first `code` in a cell."""
    match = re.search(r"`([^`]+)`", cell)
    assert match is not None, cell
    return match[1]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def tag_of(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def fields_of(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_encode_fields__)


def test_client_messages() -> None:
    documented = {word(row[0]): words(row[1]) for row in rows("Client → server")}
    kinds = {tag_of(kind): kind for kind in get_args(ClientMessage)}
    assert documented.keys() == kinds.keys()
    for tag, kind in kinds.items():
        assert documented[tag] == fields_of(_data_of(kind)), tag


def _data_of(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    data = next(field for field in msgspec.structs.fields(kind) if field.name == "data").type
    assert isinstance(data, type)
    assert issubclass(data, msgspec.Struct)
    return data


def test_server_messages() -> None:
    table = {word(row[0]): words(row[1]) for row in rows("Server → client")}
    kinds = [*get_args(server_messages.TaggedMessage), server_messages.Connected]
    assert table.keys() == {tag_of(kind) for kind in kinds}
    for kind in kinds:
        if tag_of(kind) != "user_left":  # "the same"
            assert fields_of(_data_of(kind)) <= table[tag_of(kind)], kind


def test_errors() -> None:
    table = {word(row[0]): row[1] for row in rows("Errors")}
    assert table == {code.value: ERROR_TEXT[code].format("X") for code in ErrorCode}
    [when] = [row[2] for row in rows("Errors") if word(row[0]) == ErrorCode.UNAVAILABLE]
    assert f"`{NOT_CONFIRMED}`" in when
    assert f"`{NOT_CONFIRMED_NO_ID}`" in when


def test_close_codes() -> None:
    table = {int(code): row[2] for row in rows("Close codes") for code in row[0].split(", ")}
    never_sent = {CloseCode.PROTOCOL_ERROR, CloseCode.NO_STATUS, CloseCode.ABNORMAL}
    assert table.keys() == set(CloseCode) - never_sent
    for code, advice in table.items():
        assert should_reconnect(code) is ("come back" in advice), code


def test_reasons() -> None:
    joined = next(row for row in rows("Server → client") if word(row[0]) == "room_joined")[1]
    streamed = section("4. Server-Sent Events")
    for reason in GapReason:
        assert f"`{reason}`" in (streamed if reason is GapReason.INVALID_CURSOR else joined)


def test_reserved_event_names() -> None:
    text = section("1. Words")
    assert all(f"`{name}`" in text for name in publication.RESERVED_EVENTS)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Client → server", f"1–{MAX_CONTENT:,} characters".replace(",", " ")),
        ("Client → server", f"0–{MAX_HISTORY}"),
        ("Client → server", f"at most {session_settings.SessionSettings().max_rooms} rooms"),
        ("Envelope", f"at most {MAX_ID}"),
        ("Envelope", f"more than {MAX_DEPTH} levels"),
        ("Server → client", f"at most {MAX_MEMBERS}"),
        ("3. WebSocket", f"at most {MAX_MESSAGE_BYTES // 1024} KiB"),
        ("6. Cursor", f"at most {MAX_CURSOR_BYTES // 1024} KiB"),
        (
            "3. WebSocket",
            f"every {session_settings.SessionSettings().ping_interval_s:.0f} s; the client answers",
        ),
        ("3. WebSocket", f"{session_settings.SessionSettings().pong_timeout_s:.0f} s without an answer"),
        ("3. WebSocket", f"after {session_settings.SessionSettings().max_misses} misses"),
        ("3. WebSocket", f"pings every {session_settings.SessionSettings().rfc_ping_interval_s:.0f} s"),
        ("Errors", f"{session_settings.SessionSettings().max_invalid} invalid messages in a row"),
        ("Errors", f"{session_settings.SessionSettings().max_refused:,} messages over".replace(",", " ")),
        ("2. Authentication", f"{session_settings.SessionSettings().token_expiring_s:.0f} s before"),
        ("2. Authentication", f"{session_settings.SessionSettings().expiry_grace_s:.0f} s after expiry"),
    ],
)
def test_numbers(title: str, text: str) -> None:
    assert text in re.sub(r"\s+", " ", section(title))


def examples(title: str) -> list[str]:
    blocks = re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("text", [*examples("Envelope"), *examples("Client → server")])
def test_examples_of_clients(text: str) -> None:
    assert json.loads(text)["type"] == tag_of(type(decode_client(text)))


@pytest.mark.parametrize("text", examples("Server → client"))
def test_examples_of_servers(text: str) -> None:
    assert json.loads(text)["type"] == tag_of(type(decode_server(text)))


def test_the_cursor() -> None:
    text = word(section("6. Cursor"))
    assert format_cursor(parse_cursor(text, user_channel="user:7")) == text
