"""What a client asks its server over HTTP: to publish where it is no member, and for older messages."""

from __future__ import annotations

import asyncio
import random
import time

import httpx

from rtcli.client.backoff import Reconnect
from rtcli.client.credentials import current_token
from rtcli.client.events import Acked, Message
from rtcli.client.history import read_history
from rtcli.client.http import make_http
from rtcli.client.publishing import Part, Publisher, Result, Server
from rtcli.errors import CliError, Exit
from rtcli.library.access import Access
from rtcli.library.errors import RefusedError, not_confirmed
from rtcli.protocol.position import parse_position

_READ_TIMEOUT_S = 30.0


class HttpRequests:
    """One server; its connections are opened when the first request is made."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened: httpx.AsyncClient | None = None

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._opened is None:
            access = self._access
            self._opened = make_http(
                access.endpoint,
                context=access.context,
                headers=access.headers,
                proxy=access.proxy,
                read_timeout_s=_READ_TIMEOUT_S,
            )
        return self._opened

    async def publish(self, room: str, content: str, *, identifier: str, timeout_s: float) -> Acked:
        """Publish a text, with repetitions until there is an answer.

        Raises RefusedError, NotConfirmedError, and CliError for what no repetition helps with.
        """
        endpoint = self._access.endpoint
        server = Server(self._http, endpoint.base, endpoint.authority, self._access.token)
        reconnect = Reconnect(random.Random(), started=time.monotonic(), wait_s=timeout_s)  # noqa: S311 - jitter
        publisher = Publisher(server, reconnect, on_retry=lambda _failure, _delay: None)
        part = Part(1, {"room": room, "content": content, "id": identifier})
        try:
            async with asyncio.timeout(timeout_s):
                (result,) = await publisher.publish([part])
        except TimeoutError as error:
            raise not_confirmed(f"no answer within {timeout_s:g} s", identifier) from error
        except CliError as error:
            if error.exit_code != Exit.CANNOT_CONNECT:
                raise
            raise not_confirmed(error.message, identifier) from error
        return _acknowledgement(room, identifier, result)

    async def history(self, room: str, limit: int) -> list[Message]:
        """Read the last messages of a room, oldest first. Raises CliError."""
        endpoint = self._access.endpoint
        token = await current_token(self._access.token)
        return await read_history(
            self._http, endpoint.base, where=endpoint.authority, token=token, room=room, limit=limit
        )

    async def close(self) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()


def _acknowledgement(room: str, identifier: str, result: Result) -> Acked:
    if result.published is None:
        raise RefusedError(result.detail or f"refused ({result.status})", code=result.code)
    return Acked(identifier, room, parse_position(result.published.position), result.published.duplicate)
