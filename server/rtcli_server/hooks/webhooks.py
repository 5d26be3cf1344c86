"""Hooks over HTTP, for applications that are not in Python (docs/webhooks.md).

Each question is a signed POST on a connection that is kept. Nothing that the application's server does can
cost more than its deadline and 256 KiB: no redirect is followed, no cookie kept, no compression asked for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import msgspec
from typing_extensions import override

from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.messages.strict_json import NotAcceptedError, parse
from rtcli_server.hooks.circuit_breaker import CircuitBreaker
from rtcli_server.hooks.interface import (
    ConnectRequest,
    Hooks,
    JoinRequest,
    Name,
    NoAnswerError,
    PublishRequest,
    Refuse,
    Rename,
    Rewrite,
)
from rtcli_server.hooks.signing import decode_key, signature_headers

MAX_ANSWER_BYTES = 262_144  # the longest content has 196 608 in JSON, all of it escaped
ATTEMPTS = 3
ATTEMPT_SHARE = 0.45  # of the deadline, for one attempt
PAUSE_S = 0.05  # before the second; twice as long before the third
CONNECTIONS = 100

_log = logging.getLogger(__name__)


class WebhookError(NoAnswerError):
    """The application's server gave no answer. `again`: another attempt may get one."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an application may answer; a word that is not known is no answer, for it may have meant no."""

    refuse: str | None = None
    name: str | None = None
    content: str | None = None


class Webhooks(Hooks):
    """Asks `url`. `now` gives monotonic, `wall` Unix seconds; `deadline_s` is that of the gate."""

    def __init__(
        self,
        url: str,
        keys: Sequence[str],
        events: Sequence[Name],
        *,
        deadline_s: float,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._url = url
        self._keys = [decode_key(key) for key in keys]
        self._events: frozenset[Name] = frozenset(events)
        self._attempt_s = deadline_s * ATTEMPT_SHARE
        self._deadline_s = deadline_s * 2 * ATTEMPT_SHARE
        self._now = now
        self._wall = wall
        self._breaker = CircuitBreaker()
        self._http = httpx.AsyncClient(
            headers={
                "content-type": "application/json",
                "accept-encoding": "identity",
                "user-agent": "rtcli",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=self._attempt_s,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,
        )

    @override
    def implemented(self) -> frozenset[Name]:
        return self._events

    @override
    async def connect(self, request: ConnectRequest) -> Refuse | Rename | None:
        answer = await self._ask("connect", request)
        return answer if isinstance(answer, Refuse) or answer is None else Rename(_only(answer, "name"))

    @override
    async def join(self, request: JoinRequest) -> Refuse | None:
        answer = await self._ask("join", request)
        if answer is None or isinstance(answer, Refuse):
            return answer
        raise WebhookError("a join cannot be changed")

    @override
    async def publish(self, request: PublishRequest) -> Refuse | Rewrite | None:
        answer = await self._ask("publish", request)
        return answer if isinstance(answer, Refuse) or answer is None else Rewrite(_only(answer, "content"))

    @override
    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, name: Name, request: Any) -> Refuse | _Answer | None:  # noqa: ANN401 - any of the requests
        if not self._breaker.allows(self._now()):
            raise WebhookError("it failed several times in a row: it is not asked for a while")
        was_open = self._breaker.is_open
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._attempts(name, msgspec.json.encode(asdict(request)))
        except asyncio.CancelledError:  # by whoever asked: clients that go must not open the breaker
            self._breaker.given_up()
            raise
        except Exception as error:
            self._breaker.failed(self._now())
            if isinstance(error, TimeoutError):
                raise WebhookError(f"no answer within {self._deadline_s:g} s") from None
            raise
        else:
            self._breaker.succeeded()
        finally:
            if self._breaker.is_open is not was_open:
                _log.warning(
                    "the webhook is asked again" if was_open else "the webhook is not asked for a while"
                )
        return answer

    async def _attempts(self, name: Name, data: bytes) -> Refuse | _Answer | None:
        """Ask until there is an answer; all attempts have one id, by which a receiver knows them."""
        body = b'{"type":"%s","timestamp":"%s","data":%s}' % (
            name.encode(),
            format_timestamp(self._wall()).encode(),
            data,
        )
        message_id = f"msg_{secrets.token_hex(12)}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._post(message_id, body)
            except WebhookError as error:
                if not error.again or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(PAUSE_S * attempt)
        raise AssertionError

    async def _post(self, message_id: str, body: bytes) -> Refuse | _Answer | None:
        headers = signature_headers(self._keys, message_id, int(self._wall()), body)
        try:
            async with (
                asyncio.timeout(self._attempt_s),
                self._http.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                content = await _read(response)
        except (TimeoutError, httpx.TransportError) as error:
            raise WebhookError(type(error).__name__, again=True) from None
        if response.status_code == 204:
            return None
        if response.status_code != 200:
            again = response.status_code >= 500 or response.status_code == 429
            raise WebhookError(f"status {response.status_code}", again=again)
        return _parsed(content)


async def _read(response: httpx.Response) -> bytes:
    """Read the body as it comes: what is compressed, though nobody asked for that, is not unpacked."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise WebhookError("a compressed answer")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise WebhookError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _parsed(content: bytes) -> Refuse | _Answer | None:
    """Read an answer. Raises WebhookError."""
    try:
        answer = msgspec.convert(parse(content.decode()), _Answer)
    except (NotAcceptedError, UnicodeDecodeError, msgspec.ValidationError):
        raise WebhookError("no answer as docs/webhooks.md has it") from None
    given = [value for value in (answer.refuse, answer.name, answer.content) if value is not None]
    if len(given) > 1:
        raise WebhookError("two answers at once")
    if answer.refuse is not None:
        return Refuse(answer.refuse)
    return answer if given else None


def _only(answer: _Answer, field: str) -> str:
    value: str | None = getattr(answer, field)
    if value is None:
        raise WebhookError("an answer that is for another hook")
    return value
