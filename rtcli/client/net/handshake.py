"""Opens WebSocket connections to servers that nobody trusts.

A message has a limit on its bytes and its fragments, nothing is compressed, and a redirect is followed within
the origin only. A server that sends pings and never reads would fill our memory with pongs: it is left.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import cast

from typing_extensions import override
from websockets import exceptions as wse
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import MultipleValuesError
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from rtcli.client import failures
from rtcli.client.failures import ConnectionLostError, Failure
from rtcli.client.http import USER_AGENT
from rtcli.client.net.answers import MAX_REDIRECTS
from rtcli.client.proxies import of_proxy
from rtcli.errors import CliError, Exit
from rtcli.protocol.proxies import Proxy

MAX_INCOMING_BYTES = 1_048_576  # of a message
MAX_UNREAD_BYTES = 1_048_576  # of what we sent and the server did not read


class _RedirectError(wse.InvalidHandshake):
    """A redirect that is not followed. The text goes after `<server> redirects `."""


class GuardedConnection(ClientConnection):
    """Left when the server does not read, or does not end what one of both has closed."""

    max_unread_bytes = MAX_UNREAD_BYTES
    _is_ending = False

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Our own messages wait until the transport has room; only pongs can pile up.
        if self.transport.get_write_buffer_size() > self.max_unread_bytes:
            self.transport.abort()
        if self.close_deadline is not None and not self._is_ending:
            self._is_ending = True
            self.loop.call_at(self.close_deadline, self.transport.abort)


class _connect(connect):  # noqa: N801 - it is called like the function that it stands for
    _redirects = 0

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the URI to go to, or the error that ends it. Only the path may change: all headers stay."""
        try:
            location = super().process_redirect(exc)
        except (ValueError, MultipleValuesError):  # a port or a host that is none, or two locations
            return _RedirectError("to an address that is none")
        if isinstance(location, Exception):
            return location
        self._redirects += 1
        if self._redirects > MAX_REDIRECTS:
            return _RedirectError(f"more than {MAX_REDIRECTS} times")
        old, new = self.ws_uri, parse_uri(location)
        if (old.secure, old.host, old.port) != (new.secure, new.host, new.port):
            scheme = "wss" if new.secure else "ws"
            return _RedirectError(f"to another server, {scheme}://{new.host[:100]}:{new.port}")
        return location


async def open_socket(
    url: str,
    *,
    where: str,
    tls: ssl.SSLContext | None,
    headers: list[tuple[str, str]],
    proxy: Proxy | None,
    timeout_s: float,
    ping_interval_s: float | None,
    close_timeout_s: float,
    subprotocols: Sequence[str] = (),
    max_bytes: int = MAX_INCOMING_BYTES,
    connection: Callable[..., ClientConnection] = GuardedConnection,
) -> ClientConnection:
    """Connect within `timeout_s`. `where` is host:port, for people. Raises ConnectionLostError.

    `connection` makes the object for a connection from the library's protocol and its options.
    """
    try:
        return await _connect(
            url,
            ssl=tls,
            additional_headers=headers,
            user_agent_header=USER_AGENT,
            compression=None,
            proxy=None if proxy is None else proxy.url,
            open_timeout=timeout_s,
            ping_interval=ping_interval_s,
            ping_timeout=ping_interval_s,
            close_timeout=close_timeout_s,
            max_size=max_bytes,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            # The library calls it, and never asks whether it is a class.
            create_connection=cast("type[ClientConnection]", connection),
        )
    except (OSError, TimeoutError, wse.WebSocketException) as error:
        of_proxy_alone = None if proxy is None else of_proxy(error, where, proxy)
        raise ConnectionLostError(of_proxy_alone or _of_handshake(error, where, plain=tls is None)) from error


def _of_handshake(error: BaseException, where: str, *, plain: bool) -> Failure:
    if isinstance(error, wse.InvalidStatus):
        response = error.response
        return failures.of_status(
            response.status_code,
            where,
            what="no WebSocket",
            retry_after=next(iter(response.headers.get_all("Retry-After")), None),
        )
    if isinstance(error, _RedirectError):
        return failures.of_redirect(error, where)
    ended = any(isinstance(cause, EOFError | ConnectionError) for cause in failures.chain(error))
    if isinstance(error, wse.WebSocketException) and not ended:
        wrong = CliError(
            f"{where} is no WebSocket server: {error}",
            hint="is that rtcli's port? give the full path with --url ws://host:port/path",
            exit_code=Exit.SERVER,
        )
        return Failure("no WebSocket", wrong, retry=False)
    return failures.of_network(error, where, plain=plain)
