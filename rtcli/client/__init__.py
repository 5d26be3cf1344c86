"""The Python client library: WebSocket with acknowledgements and resume, event streams, publishing over HTTP.

Pure parts decide (`conversation`, `backoff`, `failures`); `websocket`, `sse` and `publishing` do the I/O.
The names in `__all__` are for programs that build on rtcli; each is imported when it is first used.

From outside: within rtcli, the modules of those names, `websocket`, `sse`, `publishing`, `http`, `endpoint`
and `backoff`; what a program says and is told, `connection`, `events` and `failures`; `history`; any
WebSocket, `raw`; what asks any HTTP server, `net`; and what reads the user's input, `contexts`,
`credentials`, `secret_files` and `validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcli.lazy import lazy_exports

if TYPE_CHECKING:
    from rtcli.client.backoff import Reconnect
    from rtcli.client.endpoint import Endpoint, parse_endpoint
    from rtcli.client.http import TlsOptions, make_http
    from rtcli.client.publishing import Publisher
    from rtcli.client.sse import EventStream
    from rtcli.client.websocket import RealtimeClient, WebSocketTarget

__all__ = [
    "Endpoint",
    "EventStream",
    "Publisher",
    "RealtimeClient",
    "Reconnect",
    "TlsOptions",
    "WebSocketTarget",
    "make_http",
    "parse_endpoint",
]

_MODULE_OF = {
    "Endpoint": "endpoint",
    "EventStream": "sse",
    "Publisher": "publishing",
    "RealtimeClient": "websocket",
    "Reconnect": "backoff",
    "TlsOptions": "http",
    "WebSocketTarget": "websocket",
    "make_http": "http",
    "parse_endpoint": "endpoint",
}

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_exports(__name__, _MODULE_OF)
