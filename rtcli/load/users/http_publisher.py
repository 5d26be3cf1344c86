"""How users of event streams publish: one HTTP request per message, several at a time when answers are slow.

Requests of one user may overtake each other, so nothing is promised about their order. A chain of requests,
each begun after the answer to the one before, has a sender log of its own in the audit.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from errno import ECONNRESET
from typing import NamedTuple

import httpx
import msgspec

from rtcli.client.net.answers import Answer, ask
from rtcli.load.accounts.absences import Cause
from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.errors import StepError
from rtcli.load.scenario.expressions import Template, render_tree
from rtcli.load.scenario.model import HttpPublish
from rtcli.load.users.absence_causes import GENERATOR_FAILED, of_failed_publish
from rtcli.load.users.context import UserContext
from rtcli.load.users.transport import OutgoingMessage, TransportObserver, UnacceptedMessage
from rtcli.protocol.paths import room_messages_path
from rtcli.protocol.position import InvalidPositionError, Position, parse_position

_BEFORE_IT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)  # before the request was written
MAX_ANSWER_BYTES = 1_048_576
ANSWER_TIMEOUT_S = 60.0  # for all of a request and its answer; silence ends it earlier
_NOBODY_KNOWS = frozenset({"http_502", "http_504"})  # of a proxy that has lost its server: maybe published
_PUBLISHED = frozenset({200, 201, 202, 204})


class _Receipt(msgspec.Struct):
    position: str = ""


_decode_receipt = msgspec.json.Decoder(_Receipt).decode


class _Answer(NamedTuple):
    """The answer to a publish: why it was refused ('': it was published), and its position if given."""

    refusal: str
    position: Position | None = None


class _NoAnswer(NamedTuple):
    """Why there is no answer, and whether the request was made."""

    cause: Cause
    sent: bool


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes
    content_type: str


@dataclass(slots=True)
class _UnderWay:
    """A request under way."""

    message: UnacceptedMessage


class HttpPublisher:
    """Publishes for one user, as the scenario describes it (`target: publish:`); None: over our own API."""

    def __init__(self, user: UserContext, described: HttpPublish | None, observer: TransportObserver) -> None:
        self._user = user
        self._worker = user.worker
        self._described = described
        self._observer = observer
        self._idle: dict[str, list[SenderLog]] = {}  # by room, logs without a request under way
        self._count = 0  # of logs
        self._requests: dict[asyncio.Task[None], _UnderWay] = {}

    def send(self, message: OutgoingMessage) -> None:
        """Begin to publish a message."""
        under_way = _UnderWay(UnacceptedMessage(message.room, message.intended))
        request = asyncio.create_task(self._run(message, under_way))
        self._requests[request] = under_way
        request.add_done_callback(lambda done: self._requests.pop(done, None))

    @property
    def is_waiting(self) -> bool:
        """Whether requests are under way."""
        return bool(self._requests)

    def take_unanswered(self) -> list[UnacceptedMessage]:
        """Cancel the requests under way; returns their messages."""
        taken = list(self._requests.items())
        self._requests.clear()
        for request, _ in taken:
            request.cancel()
        return [under_way.message for _, under_way in taken]

    async def _run(self, message: OutgoingMessage, under_way: _UnderWay) -> None:
        try:
            await self._publish(message, under_way)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failed(under_way.message, GENERATOR_FAILED)
            self._observer.on_failure(error)

    async def _publish(self, message: OutgoingMessage, under_way: _UnderWay) -> None:
        worker, audit = self._worker, self._worker.audit
        now = worker.now()
        log, number = None, 0
        if message.audit:
            log, rest = self._take_log(message.room), message.behind_token()
            number, token = audit.send(log, message.intended, now, rest)
            text = token.decode() + rest
        else:
            text = message.without_token()
        ordinal = log.earlier + number + 1 if log is not None else 0
        sent = under_way.message = UnacceptedMessage(message.room, message.intended, ordinal, now)
        bin_key = worker.bin_key(message.intended)
        self._user.recorders.get("schedule_lag").record(bin_key, now - message.intended)
        answer = await self._request(self._describe(message.room, text))
        if isinstance(answer, _NoAnswer):  # nobody knows whether it was published
            if log is not None:
                log.ended = worker.now()
            self._observer.on_failed(sent if answer.sent else sent._replace(sent=None), answer.cause)
            _settle(message.done, answer.cause.code)
            return
        if log is not None:
            if answer.refusal in _NOBODY_KNOWS:
                log.ended = worker.now()
            elif answer.refusal:
                audit.fail(log, number)
            else:
                audit.acknowledge(log, number, worker.now(), answer.position)
            if log.ended is None:
                self._idle[message.room].append(log)
        if answer.refusal:
            self._observer.on_refused(sent, answer.refusal)
        else:
            self._user.sends.acknowledged[bin_key] += 1
            recorder = self._user.recorders.get("send_ack", step=message.label)
            recorder.record(bin_key, worker.now() - message.intended)
        _settle(message.done, answer.refusal)

    def _take_log(self, room: str) -> SenderLog:
        """A sender log without a request under way."""
        idle = self._idle.setdefault(room, [])
        if idle:
            return idle.pop()
        self._count += 1
        name = self._user.name if self._count == 1 else f"{self._user.name}.{self._count}"
        return self._worker.audit.open_log(name, room)

    async def _request(self, request: _Request) -> _Answer | _NoAnswer:
        """Make the request; returns the answer, or why there was none."""
        user, worker = self._user, self._worker
        token = user.token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers["Content-Type"] = request.content_type
        user.count("data_sent", len(request.body))
        url = worker.url(request.path)
        try:
            response = await _respond(worker.http, request, url, headers)
        except httpx.HTTPError as error:
            user.report_problem(f"publishing failed: {type(error).__name__}")
            user.count("errors", code="http")
            return _NoAnswer(of_failed_publish(error), sent=not isinstance(error, _BEFORE_IT))
        good = _PUBLISHED if self._described is None else self._described.status
        if response.status not in good:
            user.count("errors", code=str(response.status))
            return _Answer(f"http_{response.status}")
        if response.problem:
            user.report_problem(f"publishing was answered by {response.problem}")
        return _Answer("", _position_in(response.content))

    def _describe(self, room: str, text: str) -> _Request:
        described, user = self._described, self._user
        if described is None:
            body = msgspec.json.encode({"content": text})
            return _Request("POST", room_messages_path(room), body, "application/json")
        own: Mapping[str, object] = {"room": room, "text": text}
        scope: ChainMap[str, object] = ChainMap(own, user.scope)  # type: ignore[arg-type] # it only reads
        path = described.path.render_path(scope, user.rng)
        tree = render_tree(described.body, scope, user.rng)
        if isinstance(described.body, Template):
            return _Request(described.method, path, str(tree).encode(), "text/plain; charset=utf-8")
        return _Request(described.method, path, msgspec.json.encode(tree), "application/json")


async def _respond(
    client: httpx.AsyncClient, request: _Request, url: httpx.URL, headers: Mapping[str, str]
) -> Answer:
    """Make a request, and read a bounded answer; no redirect is followed. Raises HTTPError.

    A connection that breaks just after it was opened has no socket any more when anyio asks for its address,
    which raises AttributeError: that is the server's doing, and no bug of ours.
    """
    made = client.build_request(request.method, url, content=request.body, headers=headers)
    try:
        return await ask(client, made, max_bytes=MAX_ANSWER_BYTES, timeout_s=ANSWER_TIMEOUT_S, redirects=0)
    except AttributeError as error:
        if error.name != "getpeername":
            raise
        msg = "the connection broke as soon as it was open"
        raise httpx.ConnectError(msg) from ConnectionResetError(ECONNRESET, msg)


def _settle(done: asyncio.Future[None] | None, refusal: str) -> None:
    """Give the outcome to whoever waits for it, if anybody."""
    if done is None or done.done():
        return
    if refusal:
        done.set_exception(StepError(refusal, f"publishing failed: {refusal}"))
    else:
        done.set_result(None)


def _position_in(content: bytes) -> Position | None:
    """The position in an answer of our own server; None in any other."""
    try:
        return parse_position(_decode_receipt(content).position)
    except (msgspec.DecodeError, InvalidPositionError, UnicodeError, RecursionError):
        return None
