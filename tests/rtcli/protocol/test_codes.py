from __future__ import annotations

import pytest

from rtcli.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode, should_reconnect, unavailable_text


def test_every_error_code_has_a_text() -> None:
    assert set(ERROR_TEXT) == set(ErrorCode)


def test_existing_clients_find_the_texts_that_they_know() -> None:
    assert ERROR_TEXT[ErrorCode.INVALID_MESSAGE] == "Invalid message format"
    assert ERROR_TEXT[ErrorCode.ROOM_REQUIRED] == "Room is required"
    assert ERROR_TEXT[ErrorCode.UNKNOWN_TYPE].format("X") == "Unknown message type: X"


@pytest.mark.parametrize(
    ("code", "comes_back"),
    [
        (CloseCode.NORMAL, False),
        (CloseCode.GOING_AWAY, True),
        (CloseCode.PROTOCOL_ERROR, False),
        (CloseCode.UNSUPPORTED_DATA, False),
        (CloseCode.NO_STATUS, True),
        (CloseCode.ABNORMAL, True),
        (CloseCode.INVALID_PAYLOAD, False),
        (CloseCode.REFUSED, False),
        (CloseCode.TOO_BIG, False),
        (CloseCode.INTERNAL, True),
        (CloseCode.SERVICE_RESTART, True),
        (CloseCode.TRY_AGAIN_LATER, True),
        (CloseCode.HEARTBEAT_TIMEOUT, True),
        (CloseCode.SLOW_CONSUMER, True),
        (CloseCode.TOKEN_EXPIRED, True),
        (CloseCode.RATE_LIMITED, True),
        (4499, True),
        (CloseCode.KICKED, False),
        (CloseCode.PROTOCOL_VIOLATION, False),
        (4999, False),
        (3000, True),
    ],
)
def test_who_comes_back(code: int, comes_back: bool) -> None:
    assert should_reconnect(code) is comes_back


def test_the_table_above_has_every_close_code() -> None:
    (table,) = test_who_comes_back.pytestmark  # type: ignore[attr-defined]
    assert {code for code, _ in table.args[1]} >= set(CloseCode)


def test_unavailable_claims_no_more_than_is_known() -> None:
    sure = ERROR_TEXT[ErrorCode.UNAVAILABLE]
    for has_id in (True, False):
        assert unavailable_text(maybe_published=False, has_id=has_id) == sure
    assert unavailable_text(maybe_published=True, has_id=True) == "Not confirmed: repeat it with the same id"
    assert "same id" not in unavailable_text(maybe_published=True, has_id=False)
