"""The opening handshake as a pure check (RFC 6455, sections 4.2.1 and 4.4)."""

from __future__ import annotations

import pytest

from rtcli_server.headers import header_values
from rtcli_server.transports.http.handshake import check_handshake, is_websocket_upgrade, upgrade_required

GOOD = [
    (b"host", b"a"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [header for header in GOOD if header[0] != name]


def test_a_valid_handshake() -> None:
    assert check_handshake(GOOD) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (without(b"sec-websocket-version"), 426),
        ([*without(b"sec-websocket-version"), (b"sec-websocket-version", b"8")], 426),
        ([*GOOD, (b"sec-websocket-version", b"8")], 426),
        (without(b"sec-websocket-key"), 400),
        ([*without(b"sec-websocket-key"), (b"sec-websocket-key", b"\xff")], 400),
        ([*GOOD, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")], 400),
    ],
)
def test_bad_handshakes(headers: list[tuple[bytes, bytes]], status: int) -> None:
    problem = check_handshake(headers)
    assert problem is not None
    assert problem.status == status


@pytest.mark.parametrize(
    ("upgrade", "connection", "expected"),
    [
        (b"websocket", b"Upgrade", True),
        (b"WebSocket", b"keep-alive, UPGRADE", True),
        (b"h2c, websocket", b"upgrade", True),
        (b"websocket", b"keep-alive", False),
        (b"h2c", b"upgrade", False),
        (b"websockets", b"upgrade", False),
    ],
)
def test_websocket_upgrades_are_recognized(upgrade: bytes, connection: bytes, expected: bool) -> None:
    headers = [(b"upgrade", upgrade), (b"connection", connection)]
    assert is_websocket_upgrade(headers) is expected


def test_a_client_that_does_not_upgrade_is_told_how() -> None:
    """RFC 9110, sections 7.8 and 15.5.22."""
    problem = upgrade_required()
    assert problem.status == 426
    assert problem.code == "upgrade_required"
    assert problem.headers()["upgrade"] == "websocket"
    assert problem.headers()["connection"] == "upgrade"


def test_values_of_a_header_in_order() -> None:
    assert header_values([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], b"a") == [b"1", b"3"]
