"""Two people and a tail in one room: real clients over real sockets, who say what a script says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager

import rtcli
from rtcli.apps.chat.render import sentence
from rtcli.apps.demo.transcript import Transcript
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.endpoint import Endpoint
from rtcli.client.events import ClientEvent, Gap, Joined, Lost, Message, Reconnected
from rtcli.client.websocket import RealtimeClient
from rtcli.errors import CliError, Exit
from rtcli.protocol.paths import WEBSOCKET_PATH

ROOM = "general"
PATIENCE_S = 15.0


class Deliveries:
    """When each text was sent, and who has received it."""

    def __init__(self) -> None:
        self._sent_at: dict[str, float] = {}
        self._received_by: dict[str, set[str]] = {}
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None

    def ended(self, task: asyncio.Task[None]) -> None:
        """A participant's task has ended. If it failed, `until` raises its error."""
        self._failure = None if task.cancelled() else task.exception()
        self._changed.set()

    def sent(self, text: str) -> None:
        """Record that this text is sent now."""
        self._sent_at[text] = time.monotonic()

    def received(self, who: str, text: str) -> float | None:
        """Record that `who` received this text; returns the seconds since it was sent, if it was."""
        self._received_by.setdefault(text, set()).add(who)
        self._changed.set()
        at = self._sent_at.get(text)
        return None if at is None else time.monotonic() - at

    def notify(self) -> None:
        """Something happened: let `until` check its condition."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, at most PATIENCE_S. Raises CliError (6); `what` names it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    if self._failure is not None:
                        raise self._failure
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise CliError(f"the demo waited in vain for {what}", exit_code=Exit.SERVER) from None

    async def until_received(self, text: str, by: Sequence[str]) -> None:
        """Wait until everybody has received the text."""
        await self.until(
            lambda: self._received_by.get(text, set()) >= set(by), f"{text!r} at {', '.join(by)}"
        )


class Person:
    """A member of the room, over WebSocket."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        token: Callable[[], str],
        transcript: Transcript,
        deliveries: Deliveries,
    ) -> None:
        self.name = name
        self.joined = False
        self.present = False
        self._transcript = transcript
        self._deliveries = deliveries
        target = WebSocketTarget(endpoint.ws_url(WEBSOCKET_PATH), endpoint.authority, token)
        reconnect = Reconnect(random.Random(name), started=time.monotonic(), base_s=1.0, cap_s=1.0)  # noqa: S311 - spreads attempts; guards nothing
        self.client = RealtimeClient(
            target, reconnect=reconnect, id_prefix=f"demo-{name}", on_event=self._on_event
        )

    def say(self, text: str) -> None:
        """Send a text to the room."""
        self._transcript.says(self.name, text)
        self._deliveries.sent(text)
        self.client.send(ROOM, text)

    def _on_event(self, event: ClientEvent) -> None:
        match event:
            case Message(own=False, content=text, sender_name=sender):
                took_s = self._deliveries.received(self.name, text)
                self._transcript.sees(self.name, f"{sender}: {text}", took_s=took_s)
            case Joined():
                self.joined = self.present = True
            case Lost():
                self.present = False
            case _:
                pass
        if isinstance(event, Lost | Reconnected | Gap):
            self._transcript.status(self.name, sentence(event) or "")
        self._deliveries.notify()


class TailParticipant:
    """A tail of the room, over Server-Sent Events."""

    def __init__(
        self, endpoint: Endpoint, token: Callable[[], str], transcript: Transcript, deliveries: Deliveries
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._transcript = transcript
        self._deliveries = deliveries
        self.ready = False

    async def run(self) -> None:
        """Follow until cancelled."""
        async with rtcli.events(self._endpoint.base, rooms=[ROOM], token=self._token) as stream:
            async for update in stream.updates():
                if isinstance(update, rtcli.Opened):
                    self.ready = True
                    self._deliveries.notify()
                elif isinstance(update, rtcli.StreamEvent) and update.event == "new_message":
                    self._show(update.json())

    def _show(self, message: Mapping[str, object]) -> None:
        text, place = str(message["content"]), f"{message['epoch']}-{message['offset']}"
        took_s = self._deliveries.received("tail", text)
        self._transcript.sees("tail", f"id {place}  {message['sender_name']}: {text}", took_s=took_s)


@asynccontextmanager
async def running(deliveries: Deliveries, *parts: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run these coroutines while the block runs. If one fails, `deliveries.until` raises its error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    for task in tasks:
        task.add_done_callback(deliveries.ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
