"""What `rtcli rooms`, `members` and `history` read from a server, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from rtcli.apps.asking import Asker
from rtcli.client import failures
from rtcli.client.events import Message
from rtcli.client.failures import Failure
from rtcli.client.history import MAX_MESSAGE_BYTES, message_of
from rtcli.client.net.answers import Answer
from rtcli.protocol.messages.server import NewMessageData
from rtcli.protocol.paths import ROOMS_PATH, room_members_path, room_messages_path
from rtcli.protocol.position import InvalidPositionError, Position, parse_position

MAX_ROOMS_BYTES = 64 * 1_048_576  # a hundred thousand rooms with long names
MAX_MEMBERS_BYTES = 1_048_576  # 200 members
MAX_LAST = 1_000_000
PAGE = 100  # messages that are asked for at once: a page is in memory as a whole

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0)]


class Room(msgspec.Struct, frozen=True):
    """A room that has members."""

    room: str
    member_count: Count


class Member(msgspec.Struct, frozen=True):
    """A member of a room."""

    user_id: int | str
    name: str


class Members(msgspec.Struct, frozen=True):
    """The members of a room: all of them are counted, the first 200 are listed."""

    members: list[Member]
    member_count: Count


class _Rooms(msgspec.Struct, frozen=True):
    rooms: list[Room]


class _Page(msgspec.Struct, frozen=True):
    messages: list[NewMessageData]
    top: str
    next: str
    more: bool
    reason: str | None = None


@dataclass(frozen=True)
class Page:
    """Messages in order. `gap` says why something between them and what came before them is missing."""

    messages: list[Message]
    gap: str | None = None


@dataclass(frozen=True)
class Reader:
    """Reads what a server has. Each method raises CliError."""

    asker: Asker

    async def rooms(self) -> list[Room]:
        """Read the rooms that have members and that the user may join."""
        return (await self._get(ROOMS_PATH, _Rooms, MAX_ROOMS_BYTES)).rooms

    async def members(self, room: str) -> Members:
        """Read who is in a room."""
        return await self._get(room_members_path(room), Members, MAX_MEMBERS_BYTES)

    async def last(self, room: str, count: int) -> AsyncGenerator[Page, None]:
        """Read the last `count` messages of a room, oldest first."""
        page = await self._page(room, min(count, PAGE), None)
        top = self._position(page.top)
        if count > PAGE and top.offset > PAGE:
            page = await self._page(room, PAGE, Position(top.epoch, max(0, top.offset - count)))
        yield Page(_messages(page))  # nothing is missing before it: nobody knew how many there are
        async for following in self._rest(room, page):
            yield following

    async def after(self, room: str, since: Position) -> AsyncGenerator[Page, None]:
        """Read the messages of a room after a position."""
        page = await self._page(room, PAGE, since)
        yield Page(_messages(page), page.reason)
        async for following in self._rest(room, page):
            yield following

    async def _rest(self, room: str, page: _Page) -> AsyncGenerator[Page, None]:
        """Read on after a page, up to what was the newest then: somebody may publish faster than we read."""
        end = self._position(page.top)
        while page.more and (since := self._position(page.next)).offset < end.offset:
            page = await self._page(room, PAGE, since)
            yield Page(_messages(page), page.reason)
            if page.next == str(since):  # a server that does not get on
                return

    async def _page(self, room: str, limit: int, since: Position | None) -> _Page:
        path = f"{room_messages_path(room)}?limit={limit}" + ("" if since is None else f"&since={since}")
        return await self._get(path, _Page, MAX_MESSAGE_BYTES * (limit + 1))

    async def _get(self, path: str, type_: type[T], max_bytes: int) -> T:
        return await self.asker.ask("GET", path, type_, max_bytes=max_bytes, explain=self._failure)

    def _failure(self, answer: Answer) -> Failure:
        after = answer.headers.get("retry-after")
        return failures.of_status(answer.status, self.asker.server.where, what="no rooms", retry_after=after)

    def _position(self, text: str) -> Position:
        try:
            return parse_position(text)
        except InvalidPositionError:
            raise failures.of_stranger(self.asker.server.where).error from None


def _messages(page: _Page) -> list[Message]:
    return [message_of(data) for data in page.messages]
