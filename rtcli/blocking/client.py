"""`rtcli.Client` for programs without `async`."""

from __future__ import annotations

import ssl
import weakref
from types import TracebackType
from typing import Self

from rtcli.blocking.loop_thread import LoopThread
from rtcli.blocking.reader import Reader
from rtcli.client.credentials import TokenFunction
from rtcli.client.events import Acked, ClientEvent, Event, Message
from rtcli.library import client as library
from rtcli.library.access import Headers
from rtcli.protocol.position import Position


class Client:
    """One user's connection to a server. `rtcli.blocking.connect` makes it, and waits until it is open.

        with rtcli.blocking.connect("http://127.0.0.1:8000") as client:
            for message in client.room("general"):
                print(message.sender_name, message.content)

    Arguments and errors are those of `rtcli.connect`. Without `with`, call `close`. Threads may share it.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | TokenFunction | None = None,
        headers: Headers = (),
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        wait_s: float = 0.0,
        events: bool = False,
        cursor: str = "",
        buffer: int = 1000,
    ) -> None:
        self._client = library.Client(
            url,
            token=token,
            headers=headers,
            ssl_context=ssl_context,
            proxy=proxy,
            wait_s=wait_s,
            events=events,
            cursor=cursor,
            buffer=buffer,
        )
        self._thread = LoopThread()
        self._stop = weakref.finalize(self, self._thread.stop)
        try:
            self._thread.wait(self._client.ready())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Say good-bye and close everything. Loops end when they have what is there already."""
        if self._stop.alive:
            try:
                self._thread.wait(self._client.close())
            finally:
                self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def user_id(self) -> int | str | None:
        """The id of the token's user."""
        return self._client.user_id

    @property
    def connection_id(self) -> str:
        """What the server calls this connection, or the last one: an application may send to it alone."""
        return self._client.connection_id

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._client.connected

    @property
    def rooms(self) -> list[str]:
        """The rooms that it is in, or enters as soon as it can."""
        return self._thread.call(lambda: self._client.rooms)

    @property
    def cursor(self) -> str:
        """Up to where everything was delivered: for `cursor=` of another client."""
        return self._thread.call(lambda: self._client.cursor)

    def position(self, room: str) -> Position | None:
        """Up to where this room was delivered."""
        return self._thread.call(lambda: self._client.position(room))

    def room(self, name: str, *, history: int = 0, since: Position | str | None = None) -> Reader[Message]:
        """Join a room and return its messages: after `since`, or else the last `history`, then new ones."""
        joined = self._thread.call(lambda: self._client.room(name, history=history, since=since))
        return Reader(self._thread, joined)

    def events(self) -> Reader[Event]:
        """Personal and broadcast events from now on, of a client with `events=True`."""
        return Reader(self._thread, self._thread.call(self._client.events))

    def updates(self) -> Reader[ClientEvent]:
        """All that happens from now on: messages and events, gaps, losses and returns."""
        return Reader(self._thread, self._thread.call(self._client.updates))

    def history(self, room: str, limit: int = 50) -> list[Message]:
        """Return the last messages of a room, oldest first, whether it is joined or not."""
        return self._thread.wait(self._client.history(room, limit))

    def join(self, room: str, *, history: int = 0, since: Position | str | None = None) -> None:
        """Be in a room, now and after each reconnection."""
        self._thread.call(lambda: self._client.join(room, history=history, since=since))

    def leave(self, room: str) -> None:
        """Leave a room. Its loops end."""
        self._thread.call(lambda: self._client.leave(room))

    def publish(
        self,
        room: str,
        content: str,
        *,
        id: str | None = None,  # noqa: A002 - the protocol's word
        timeout_s: float = 30.0,
    ) -> Acked:
        """Publish a text; returns where it is in the log. The room need not be joined.

        Raises RefusedError, and NotConfirmedError, whose `id` is for a repeat that cannot publish it twice.
        """
        return self._thread.wait(self._client.publish(room, content, id=id, timeout_s=timeout_s))


connect = Client
