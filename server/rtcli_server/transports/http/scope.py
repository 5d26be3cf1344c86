"""A request as an ASGI scope (ASGI, HTTP connection scope)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from uvicorn.protocols.utils import get_local_addr, is_ssl

from rtcli_server.transports.http.head import Head

Address: TypeAlias = tuple[str, int]  # and port
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What all requests of one connection came to."""

    server: tuple[str, int | None] | None
    scheme: str
    root_path: str

    @classmethod
    def of(cls, transport: asyncio.Transport, root_path: str) -> Self:
        """Ask a transport."""
        return cls(get_local_addr(transport), "https" if is_ssl(transport) else "http", root_path)


def make_scope(head: Head, client: Address | None, origin: Origin, state: dict[str, Any]) -> dict[str, Any]:
    """Make the scope of one request, with a state of its own."""
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": head.http_version,
        "server": origin.server,
        "client": client,
        "scheme": origin.scheme,
        "method": head.method,
        "root_path": origin.root_path,
        "path": origin.root_path + head.path,
        "raw_path": origin.root_path.encode() + head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": state.copy(),
    }
