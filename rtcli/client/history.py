"""Reads the last messages of a room over HTTP: `GET /api/v1/rooms/{room}/messages`."""

from __future__ import annotations

import httpx
import msgspec

from rtcli.client import failures
from rtcli.client.events import Message
from rtcli.client.net.answers import RedirectError, ask
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages.server import NewMessageData
from rtcli.protocol.paths import room_messages_path
from rtcli.protocol.position import Position

MAX_MESSAGE_BYTES = 131_072  # of one as JSON: 16 384 characters, all of them escaped, and their sender
_ANSWER_TIMEOUT_S = 30.0


class _Page(msgspec.Struct):
    messages: list[NewMessageData]


async def read_history(
    http: httpx.AsyncClient, base: str, *, where: str, token: str | None, room: str, limit: int
) -> list[Message]:
    """Read the last `limit` messages of a room, oldest first. Raises CliError.

    `base` is `http://host:port`, `where` the same for people.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = base + room_messages_path(room)
    request = http.build_request("GET", url, params={"limit": limit}, headers=headers)
    max_bytes = MAX_MESSAGE_BYTES * (limit + 1)
    try:
        answer = await ask(http, request, max_bytes=max_bytes, timeout_s=_ANSWER_TIMEOUT_S)
    except RedirectError as error:
        raise failures.of_redirect(error, where).error from None
    except (httpx.HTTPError, OSError) as error:
        raise failures.of_network(error, where).error from None
    if answer.status != httpx.codes.OK:
        raise failures.of_status(answer.status, where, what="no history").error
    if answer.problem:
        raise failures.of_content(answer.problem, where).error
    try:
        page = msgspec.json.decode(answer.content, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CliError(f"{where} sent no history that can be read", exit_code=Exit.SERVER) from None
    return [message_of(data) for data in page.messages]


def message_of(data: NewMessageData) -> Message:
    """A message of the log as an event of the client."""
    position = Position(data.epoch, data.offset)
    name, sender = data.sender_name, data.sender_id
    return Message(
        data.room, data.content, sender, name, data.timestamp, data.id, position, history=True, own=False
    )
