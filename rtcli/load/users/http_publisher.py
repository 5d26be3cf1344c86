"""How users of event streams publish: a request per message, several at a time if they must.

Requests of one user may overtake each other, so nothing is promised about their order; each chain of them,
one after the answer to the other, has a sender log of its own in the audit.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Mapping

import httpx
import msgspec

from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import StepError
from rtcli.load.scenario.expressions import Template, render_tree
from rtcli.load.scenario.model import HttpPublish
from rtcli.load.users.transport import Message
from rtcli.load.users.user import User
from rtcli.protocol.paths import room_messages_path
from rtcli.protocol.position import InvalidPositionError, Position, parse_position


class _Receipt(msgspec.Struct):
    position: str = ""


_decode_receipt = msgspec.json.Decoder(_Receipt).decode


class HttpPublisher:
    """Publishes for one user."""

    def __init__(self, worker: WorkerContext, user: User, described: HttpPublish | None) -> None:
        self._engine = worker
        self._user = user
        self._described = described
        self._idle: dict[str, list[SenderLog]] = {}
        self._count = 0
        self._requests: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> None:
        """Begin to publish."""
        request = asyncio.create_task(self._publish(message))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    async def _publish(self, message: Message) -> None:
        worker, audit = self._engine, self._engine.audit
        now = worker.now()
        log, number, text = None, 0, message.text
        if message.audit:
            log = self._take_log(message.room)
            number, token = audit.send(log, message.intended, now)
            text = f"{text} {token.decode()}" if text else token.decode()
        bin_key = worker.bin_key(message.intended)
        self._user.recorders.get("schedule_lag").record(bin_key, now - message.intended)
        answer = await self._request(message, text)
        if answer is None:  # nobody knows whether it was published
            if log is not None:
                log.ended = worker.now()
            self._tell(message.done, "no answer")
            return
        failure, place = answer
        if log is not None:
            if failure:
                audit.fail(log, number)
            else:
                audit.acknowledge(log, number, worker.now(), place)
            self._idle[message.room].append(log)
        if not failure:
            recorder = self._user.recorders.get("send_ack", step=message.label)
            recorder.record(bin_key, worker.now() - message.intended)
        self._tell(message.done, failure)

    def _take_log(self, room: str) -> SenderLog:
        """A sender log without a request under way."""
        idle = self._idle.setdefault(room, [])
        if idle:
            return idle.pop()
        self._count += 1
        name = self._user.name if self._count == 1 else f"{self._user.name}.{self._count}"
        return self._engine.audit.open_log(name, room, wants_acks=True)

    async def _request(self, message: Message, text: str) -> tuple[str, Position | None] | None:
        """Make the request; returns why it was refused ('': it was not) and the position; None: no answer."""
        worker = self._engine
        token = self._user.token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        method, path, body, kind = self._describe(message.room, text)
        headers["Content-Type"] = kind
        worker.count(self._user.role, "data_sent", len(body))
        try:
            response = await worker.http.request(
                method, worker.spec.endpoint.base + path, content=body, headers=headers
            )
        except httpx.HTTPError as error:
            worker.problems[f"{self._user.role.name}: publishing failed: {type(error).__name__}"] += 1
            worker.count(self._user.role, "errors", code="http")
            return None
        if response.status_code not in self._good:
            worker.count(self._user.role, "errors", code=str(response.status_code))
            return str(response.status_code), None
        return "", _place(response.content)

    @property
    def _good(self) -> frozenset[int]:
        return frozenset({200, 201, 202, 204}) if self._described is None else self._described.status

    def _describe(self, room: str, text: str) -> tuple[str, str, bytes, str]:
        """Method, path, body and its type."""
        if self._described is None:
            body = msgspec.json.encode({"content": text})
            return "POST", room_messages_path(room), body, "application/json"
        own: Mapping[str, object] = {"room": room, "text": text}
        scope: ChainMap[str, object] = ChainMap(own, self._user.scope)  # type: ignore[arg-type] # it only reads
        path = self._described.path.render(scope, self._user.rng)
        tree = render_tree(self._described.body, scope, self._user.rng)
        if isinstance(self._described.body, Template):
            return self._described.method, path, str(tree).encode(), "text/plain; charset=utf-8"
        return self._described.method, path, msgspec.json.encode(tree), "application/json"

    @staticmethod
    def _tell(done: asyncio.Future[None] | None, failure: str) -> None:
        if done is None or done.done():
            return
        if failure:
            done.set_exception(StepError(failure, f"publishing failed: {failure}"))
        else:
            done.set_result(None)


def _place(content: bytes) -> Position | None:
    """The position in the answer of our own server."""
    try:
        return parse_position(_decode_receipt(content).position)
    except (msgspec.DecodeError, InvalidPositionError, UnicodeError):
        return None
