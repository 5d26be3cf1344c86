"""What a client resumes from, and what it is told of that, over both transports (protocol.md, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rtcli.protocol.codes import GapReason
from rtcli.protocol.messages import ChannelState, ResumedData
from rtcli.protocol.paths import CURSOR_PARAMETER
from rtcli.protocol.position import (
    ROOM_PREFIX,
    USER_PREFIX,
    InvalidPositionError,
    Position,
    cursor_key,
    format_cursor,
    parse_cursor,
)
from rtcli_server.delivery.channel import Subscription
from rtcli_server.delivery.recovery import RecoveryRequest, RecoveryResult


class Resume(NamedTuple):
    """The positions after which a client goes on, by channel name."""

    cursor: Mapping[str, Position]
    invalid: bool  # the client sent a cursor that cannot be read


class Opening(NamedTuple):
    """What the handshake of a WebSocket asks for. `with_events`: personal and broadcast events."""

    with_events: bool
    resume: Resume


NEW = Resume({}, invalid=False)


def read_resume(text: str, *, user_channel: str) -> Resume:
    """Read the cursor of a request; `text` is "" when it has none."""
    if not text:
        return NEW
    try:
        return Resume(parse_cursor(text, user_channel=user_channel), invalid=False)
    except InvalidPositionError:
        return Resume({}, invalid=True)


def read_opening(query: Mapping[str, Sequence[str]], user_id: str, *, max_rooms: int) -> Opening:
    """Read the query parameters of a handshake.

    Several cursors are one that cannot be read, and so is one with more rooms than a connection may have: its
    positions are kept until the rooms are joined, and take twenty times as much memory as the text.
    """
    text = ", ".join(filter(None, query.get(CURSOR_PARAMETER, ())))
    resume = read_resume(text, user_channel=USER_PREFIX + user_id)
    if sum(name.startswith(ROOM_PREFIX) for name in resume.cursor) > max_rooms:
        resume = Resume({}, invalid=True)
    return Opening(query.get("events") != ["0"], resume)


def request_of(
    subscription: Subscription, cursor: Mapping[str, Position], max_replay: int
) -> RecoveryRequest:
    """What a subscription asks the log for: what followed its position, or from now on."""
    since = cursor.get(subscription.channel.name)
    return RecoveryRequest(subscription.channel, since, max_replay if since is not None else 0)


def start_of(name: str, result: RecoveryResult, cursor: Mapping[str, Position]) -> Position:
    """Where a channel begins for this client: its position, or the top when it cannot go on from there."""
    since = cursor.get(name)
    return result.top if since is None or result.failure else since


def report(
    names: Sequence[str],
    results: Sequence[RecoveryResult],
    resume: Resume,
    count: Callable[[GapReason | None], None],
) -> ResumedData:
    """Make the report of these channels: which were recovered, and why others were not; `count` each.

    Its cursor is where they begin.
    """
    channels: dict[str, ChannelState] = {}
    starts: list[tuple[str, Position]] = []
    failures: list[GapReason] = []
    resumes = False
    for name, result in zip(names, results, strict=True):
        starts.append((name, start_of(name, result, resume.cursor)))
        recovered = failure = None
        if resume.invalid or name in resume.cursor:
            resumes = True
            failure = GapReason.INVALID_CURSOR if resume.invalid else result.failure
            recovered = failure is None
            count(failure)
            failures += [] if failure is None else [failure]
        channels[cursor_key(name)] = ChannelState(
            position=str(result.top), recovered=recovered, reason=failure
        )
    return ResumedData(
        cursor=format_cursor(starts),
        channels=channels,
        recovered=not failures if resumes else None,
        reason=failures[0] if failures else None,
    )
