"""Two people and a tail in one room: real clients over real sockets, who say what a script says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from rtcli.apps.chat.render import sentence
from rtcli.apps.demo.transcript import Stage
from rtcli.apps.tail.render import Seen
from rtcli.client.backoff import Reconnect
from rtcli.client.endpoint import Endpoint
from rtcli.client.events import Back, ClientEvent, Joined, Lost, Message, Missed
from rtcli.client.http import make_http
from rtcli.client.sse import Batch, EventStream
from rtcli.client.tls import TlsOptions
from rtcli.client.websocket import RealtimeClient, WebSocketTarget
from rtcli.errors import CliError, Exit
from rtcli.protocol.paths import EVENT_STREAM_PATH, WEBSOCKET_PATH

ROOM = "general"
PATIENCE_S = 15.0
_ROOM_QUERY = f"{EVENT_STREAM_PATH}?room={ROOM}"


class Watch:
    """What was said when, and who has seen it."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}
        self._seen: dict[str, set[str]] = {}
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None

    def ended(self, task: asyncio.Task[None]) -> None:
        """A part of the demo has ended; if it failed, whoever waits for something hears of it."""
        self._failure = None if task.cancelled() else task.exception()
        self._changed.set()

    def said(self, text: str) -> None:
        """Somebody says this now."""
        self._said_at[text] = time.monotonic()

    def seen(self, who: str, text: str) -> float | None:
        """Somebody sees it; returns the seconds since it was said."""
        self._seen.setdefault(text, set()).add(who)
        self._changed.set()
        at = self._said_at.get(text)
        return None if at is None else time.monotonic() - at

    def happened(self) -> None:
        """Something else happened that is perhaps waited for."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something, for so long. Raises CliError (6)."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    if self._failure is not None:
                        raise self._failure
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise CliError(f"the demo waited in vain for {what}", exit_code=Exit.SERVER) from None

    async def until_seen(self, text: str, by: Sequence[str]) -> None:
        """Wait until everybody has seen it."""
        await self.until(lambda: self._seen.get(text, set()) >= set(by), f"{text!r} at {', '.join(by)}")


class Person:
    """Somebody in the room, over WebSocket."""

    def __init__(
        self, name: str, endpoint: Endpoint, token: Callable[[], str], stage: Stage, watch: Watch
    ) -> None:
        self.name = name
        self.joined = False
        self.present = False
        self._stage = stage
        self._watch = watch
        target = WebSocketTarget(
            endpoint.ws_url(WEBSOCKET_PATH), endpoint.authority, token, use_proxy=not endpoint.is_loopback
        )
        reconnect = Reconnect(random.Random(name), started=time.monotonic(), base_s=1.0, cap_s=1.0)  # noqa: S311
        self.client = RealtimeClient(
            target, reconnect=reconnect, id_prefix=f"demo-{name}", on_event=self._on_event
        )

    def say(self, text: str) -> None:
        """Say it in the room."""
        self._stage.says(self.name, text)
        self._watch.said(text)
        self.client.send(ROOM, text)

    def _on_event(self, event: ClientEvent) -> None:
        match event:
            case Message(own=False, content=text, sender_name=sender):
                took_s = self._watch.seen(self.name, text)
                self._stage.sees(self.name, f"{sender}: {text}", took_s=took_s)
            case Joined():
                self.joined = self.present = True
            case Lost():
                self.present = False
            case _:
                pass
        if isinstance(event, Lost | Back | Missed):
            self._stage.is_told(self.name, sentence(event) or "")
        self._watch.happened()


class Follower:
    """A tail of the room, over Server-Sent Events."""

    def __init__(self, endpoint: Endpoint, token: Callable[[], str], stage: Stage, watch: Watch) -> None:
        self._endpoint = endpoint
        self._token = token
        self._stage = stage
        self._watch = watch
        self.ready = False

    async def run(self) -> None:
        """Follow until cancelled."""
        async with make_http(self._endpoint, tls=TlsOptions(), headers=[]) as http:
            stream = EventStream(
                http,
                self._endpoint.http_url(_ROOM_QUERY),
                where=self._endpoint.authority,
                reconnect=Reconnect(random.Random(0), started=time.monotonic()),  # noqa: S311 - jitter
                token=self._token,
            )
            async for item in stream.items():
                if isinstance(item, Batch):
                    self._show(item)

    def _show(self, batch: Batch) -> None:
        for event in batch.events:
            if event.event == "ready":
                self.ready = True
                self._watch.happened()
            elif event.event == "new_message":
                fields = Seen(event, time.time()).fields
                text = str(fields.get("content"))
                took_s = self._watch.seen("tail", text)
                place = f"{fields.get('epoch')}-{fields.get('offset')}"
                self._stage.sees("tail", f"id {place}  {fields.get('sender_name')}: {text}", took_s=took_s)


@asynccontextmanager
async def running(watch: Watch, *parts: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run these beside the block, and end them with it; whoever waits hears of a part that fails."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    for task in tasks:
        task.add_done_callback(watch.ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
