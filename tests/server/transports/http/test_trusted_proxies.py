"""The client's address when `X-Forwarded-For` is trusted, and when it is not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from rtcli_server.transports.http.trusted_proxies import TrustedProxies

PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("127.0.0.1"), ip_network("fd00::/8")])
CLIENT = "192.0.2.7"


def client(peer: str, *headers: str) -> str:
    fields = [(b"host", b"a"), *((b"x-forwarded-for", header.encode("latin-1")) for header in headers)]
    return PROXIES.client_address(peer, fields)


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.0.0.1", (CLIENT,), CLIENT),
        ("10.0.0.1", (f" {CLIENT}\t",), CLIENT),
        ("10.0.0.1", (f"{CLIENT}, 10.9.9.9, 10.0.0.2",), CLIENT),  # through three of ours
        ("10.0.0.1", (CLIENT, "10.9.9.9"), CLIENT),  # two headers are one list (RFC 9110, section 5.3)
        ("10.0.0.1", (f"198.51.100.1, {CLIENT}",), CLIENT),  # the client wrote the first one itself
        ("10.0.0.1", ("198.51.100.1", CLIENT), CLIENT),
        ("10.0.0.1", (f"10.0.0.9, {CLIENT}",), CLIENT),  # and pretends to be one of ours
        ("10.0.0.1", ("10.0.0.9, 10.0.0.8",), "10.0.0.9"),  # one of ours asks by itself
        ("fd00::1", (CLIENT,), CLIENT),
        ("::ffff:10.0.0.1", (CLIENT,), CLIENT),
        ("10.0.0.1", ("::ffff:192.0.2.7",), CLIENT),
        ("10.0.0.1", (f"{CLIENT}:4711",), CLIENT),
        ("10.0.0.1", ("[2001:db8::1]:4711",), "2001:db8::1"),
        ("10.0.0.1", ("2001:DB8:0::1",), "2001:db8::1"),
        ("10.0.0.1", ("fe80::1%eth0",), "fe80::1"),
    ],
)
def test_the_last_address_that_is_not_a_trusted_proxy(
    peer: str, headers: tuple[str, ...], expected: str
) -> None:
    assert client(peer, *headers) == expected


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "", "11.0.0.1", "unix"])
def test_the_header_of_others_is_ignored(peer: str) -> None:
    assert client(peer, "203.0.113.5") == peer


@pytest.mark.parametrize(
    "header",
    ["", ",", "unknown", "_hidden", "192.0.2.256", "192.0.2.7, x", "[", "1.2.3.4.5", "\xff", "a" * 9_000],
)
def test_an_invalid_entry_leaves_the_proxy_that_passed_it_on(header: str) -> None:
    assert client("10.0.0.1", header) == "10.0.0.1"
    assert client("10.0.0.1", f"{header}, 10.0.0.2") == "10.0.0.2"


def test_without_the_header_the_peer_is_the_client() -> None:
    assert client("10.0.0.1") == "10.0.0.1"


def test_nobody_is_trusted_by_default() -> None:
    assert not TrustedProxies(())
    assert (
        TrustedProxies(()).client_address("127.0.0.1", [(b"x-forwarded-for", CLIENT.encode())]) == "127.0.0.1"
    )
