"""A client of the rooms of one server: connects, comes back, publishes, and tells what happens."""

from __future__ import annotations

import asyncio
import ssl

from typing_extensions import override

from rtcli.client.credentials import TokenFunction
from rtcli.client.events import Acked, ClientEvent, Event, Gap, Message
from rtcli.errors import CliError
from rtcli.library.access import Headers, make_access
from rtcli.library.arguments import (
    checked_buffer,
    checked_history,
    checked_id,
    checked_position,
    checked_text,
    room_name,
)
from rtcli.library.errors import UsageError, not_confirmed
from rtcli.library.feeds import Feed, Room, Updates
from rtcli.library.lifetime import Block
from rtcli.library.session import EVENTS, Session
from rtcli.protocol.position import Position, event_key


class Client(Block):
    """One user's connection to a server, over any number of WebSockets. `rtcli.connect` makes it.

        async with rtcli.connect("http://127.0.0.1:8000") as client:
            async for message in client.room("general"):
                print(message.sender_name, message.content)

    `token` is a text, or a function (or coroutine function) that returns one: it is called for each
    connection, and before the token expires. Without it: RTCLI_TOKEN_FILE, RTCLI_TOKEN, or, on this machine,
    the key that `rtcli serve` has made. `wait_s` is how long to keep trying the first connection. With
    `events`, it also gets personal and broadcast events. `cursor` is where another client or stream has
    stopped. `buffer` is how many values each loop may leave waiting: what comes then is left in the server's
    log, and read from there later. `proxy` is an HTTP proxy's URL, or `none`; without it, the environment
    decides.

    Raises UsageError. Entering the block raises CannotConnectError, RefusedError or UnexpectedAnswerError.
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
        access = make_access(url, token=token, headers=headers, ssl_context=ssl_context, proxy=proxy)
        self._session = Session(access, wait_s=wait_s, events=events, cursor=cursor)
        self._engine = self._session.engine
        self._distribution = self._session.distribution
        self._buffer = checked_buffer(buffer)
        self._with_events = events
        self._http_count = 0

    # -- beginning and end ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, without waiting for it."""
        self._session.lifetime.start()

    @override
    async def ready(self) -> None:
        """Wait for the first connection; raises why there is none."""
        await self._session.lifetime.ready()

    @override
    async def close(self) -> None:
        """Say good-bye and close everything. Loops end when they have what is there already."""
        await self._session.close()

    # -- what it knows -------------------------------------------------------------------------------------

    @property
    def user_id(self) -> int | str | None:
        """The id of the token's user, once it is connected."""
        return self._session.user_id

    @property
    def connection_id(self) -> str:
        """What the server calls this connection, or the last one: an application may send to it alone."""
        return self._engine.state.connection_id

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._engine.state.connected

    @property
    def rooms(self) -> list[str]:
        """The rooms that it is in, or enters as soon as it can."""
        return self._engine.state.rooms

    @property
    def settled(self) -> bool:
        """Whether it is in all its rooms, and has everything that was there when it joined."""
        return self._engine.state.settled

    @property
    def unconfirmed(self) -> list[tuple[str, str]]:
        """Room and text of all that has no answer yet, oldest first for each room."""
        return list(self._engine.state.unacknowledged())

    @property
    def cursor(self) -> str:
        """Up to where everything was delivered: for `cursor=` of another client, or for an event stream."""
        return self._engine.state.cursor

    def position(self, room: str) -> Position | None:
        """Up to where this room was delivered."""
        return self._engine.state.position(room)

    # -- what it reads -------------------------------------------------------------------------------------

    def room(self, name: str, *, history: int = 0, since: Position | str | None = None) -> Room:
        """Join a room and return its messages: after `since`, or else the last `history`, then new ones.

        Called again, it returns the messages from now on, once more. Raises UsageError.
        """
        name = room_name(name)
        if name in self.rooms and (history or since is not None):
            hint = "older messages: await client.history()"
            raise UsageError(f"#{name} is joined already", hint=hint, code="usage")
        self._session.lifetime.check_usable()
        self.join(name, history=history, since=since)
        inbox = self._distribution.add(
            self._buffer,
            wants=lambda event: isinstance(event, Message | Gap) and event.room == name,
            channels=frozenset({name}),
        )
        room = Room(name, inbox)
        self._distribution.forget_with(room, inbox)
        return room

    def events(self) -> Feed[Event]:
        """Personal and broadcast events from now on. Raises UsageError without `connect(events=True)`."""
        if not self._with_events:
            raise UsageError("this client gets no events", hint="connect(..., events=True)", code="usage")
        inbox = self._distribution.add(
            self._buffer,
            wants=lambda event: isinstance(event, Event) or (isinstance(event, Gap) and not event.is_room),
            channels=frozenset({EVENTS}),
        )
        feed: Feed[Event] = Feed(inbox, lambda event: event_key(event.channel))
        self._distribution.forget_with(feed, inbox)
        return feed

    def updates(self) -> Updates[ClientEvent]:
        """All that happens from now on: messages and events, gaps, losses and returns, who comes and goes."""
        inbox = self._distribution.add(self._buffer, wants=lambda _event: True)
        updates: Updates[ClientEvent] = Updates(inbox)
        self._distribution.forget_with(updates, inbox)
        return updates

    async def history(self, room: str, limit: int = 50) -> list[Message]:
        """Return the last messages of a room, oldest first, whether it is joined or not."""
        room, limit = room_name(room), checked_history(limit, at_least=1)
        try:
            return await self._session.http.history(room, limit)
        except CliError as error:
            raise self._session.access.explained(error) from error

    # -- what it does --------------------------------------------------------------------------------------

    def join(self, room: str, *, history: int = 0, since: Position | str | None = None) -> None:
        """Be in a room, now and after each reconnection. What comes is in `updates()`."""
        history, position = checked_history(history, at_least=0), checked_position(since)
        self._engine.join(room_name(room), history=history, since=position)

    def leave(self, room: str) -> None:
        """Leave a room. Its loops end; texts without an answer are dropped."""
        room = room_name(room)
        self._engine.leave(room)
        self._distribution.end(None, room)
        self._session.acknowledgements.settle_all(lambda id_: not_confirmed("the room was left", id_), room)

    async def publish(
        self,
        room: str,
        content: str,
        *,
        id: str | None = None,  # noqa: A002 - the protocol's word
        timeout_s: float = 30.0,
    ) -> Acked:
        """Publish a text; returns where it is in the log. The room need not be joined.

        While the connection is lost, it waits. Raises RefusedError, and NotConfirmedError when there is no
        answer in time: then the text may have been published, or not. With the `id` of that error, a repeat
        within five minutes is published once. Cancelled, it is not sent any more.
        """
        self._session.lifetime.check_usable()
        room, identifier = room_name(room), checked_id(id)
        content = checked_text(room, content)
        if room in self.rooms:
            return await self._publish_as_member(room, content, identifier, timeout_s)
        if identifier is None:
            self._http_count += 1
            identifier = f"{self._session.id_prefix}-h{self._http_count}"
        try:
            return await self._session.http.publish(room, content, identifier=identifier, timeout_s=timeout_s)
        except CliError as error:
            raise self._session.access.explained(error) from error

    def send(self, room: str, content: str) -> str:
        """Publish in a joined room without waiting: `updates()` has `Acked` or `Rejected` with this id."""
        room = room_name(room)
        if room not in self.rooms:
            raise UsageError(f"#{room} is not joined", hint="client.join(room)", code="usage")
        return self._engine.send(room, checked_text(room, content))

    def typing(self, room: str, *, is_typing: bool) -> None:
        """Tell the others in a room that the user types, or has stopped."""
        self._engine.typing(room, is_typing=is_typing)

    def ping(self) -> None:
        """Measure the way to the server and back; `updates()` has the `RoundTrip`."""
        self._engine.ping()

    async def reconnect(self) -> None:
        """Drop the connection and come back at once; while it is lost, try now."""
        await self._engine.reconnect()

    # -- inside --------------------------------------------------------------------------------------------

    async def _publish_as_member(
        self, room: str, content: str, identifier: str | None, timeout_s: float
    ) -> Acked:
        if identifier is not None:
            waiting = self._session.acknowledgements.expect(identifier, room)
            self._engine.send(room, content, identifier)
        else:
            identifier = self._engine.send(room, content)
            waiting = self._session.acknowledgements.expect(identifier, room)
        try:
            async with asyncio.timeout(timeout_s):
                outcome = await waiting
        except TimeoutError:
            raise not_confirmed(f"no answer within {timeout_s:g} s", identifier) from None
        finally:
            self._session.acknowledgements.forget(identifier)
            self._engine.withdraw(identifier)
        if isinstance(outcome, Acked):
            return outcome
        raise outcome


connect = Client
