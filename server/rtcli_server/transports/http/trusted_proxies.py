"""The client's address behind proxies, from the `X-Forwarded-For` header. Pure.

Every proxy appends the address of its peer, so only the end of the list can be trusted: the client may have
written the beginning. From the right, an entry is trusted as long as a trusted proxy wrote it; the first one
that is not a trusted proxy itself is the client.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from rtcli_server.headers import Headers, header_values

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """The networks whose `X-Forwarded-For` is trusted. False when there is none."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client_of(self, peer: tuple[str, int] | None, headers: Headers) -> tuple[str, int] | None:
        """Return address and port of the client of a connection; behind a proxy, the port is 0."""
        if peer is None or not self._networks:
            return peer
        return self.client_address(peer[0], headers), 0

    def client_address(self, peer: str, headers: Headers) -> str:
        """Return the client's address; `peer` is the address that the connection comes from.

        An entry that is not an address ends the list: the proxy that passed it on is then the client.
        """
        client = peer
        entries = b",".join(header_values(headers, b"x-forwarded-for")).split(b",")
        while self._trusts(client) and entries:
            address = _parse(entries.pop().strip().decode("latin-1"))
            if address is None:
                break
            client = str(address)
        return client

    def _trusts(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _parse(text: str) -> Address | None:
    """Parse `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`: some proxies add a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
