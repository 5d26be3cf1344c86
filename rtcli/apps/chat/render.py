"""Writes the events of a chat as lines for a pipe, as records, and as sentences for people. Pure."""

from __future__ import annotations

from rtcli import (
    Acked,
    ClientEvent,
    ConnectionWarning,
    Gap,
    Joined,
    JoinRefused,
    Left,
    Lost,
    Message,
    Presence,
    Reconnected,
    Rejected,
    TypingChanged,
)
from rtcli.terminal.escaping import escape
from rtcli.units import format_duration

MAX_NAME = 64  # characters of a name that are shown
_LOST_LOG = "the server began a new log, what it had is gone"
_REASONS = {
    "epoch_changed": _LOST_LOG,
    "future": _LOST_LOG,
    "trimmed": "the server keeps no more",
    "too_many": "too many to catch up with",
    "not_sent": "the server did not send them",
}


def name_of(name: str) -> str:
    """A person's name as it is shown."""
    return escape(name, limit=MAX_NAME)


def plain_line(message: Message) -> str:
    """A message for a pipe: time, room, name and text, separated by tabs, with control characters escaped."""
    parts = (message.timestamp, message.room, message.sender_name, message.content)
    return "\t".join(escape(part) for part in parts)


def sentence(event: ClientEvent) -> str | None:
    """An event of the connection in words, for a line `-- …`; None for events that need no line."""
    text = None
    match event:
        case Lost(reason=reason, retry_in_s=delay, attempt=1):
            text = f"lost ({reason[:100]}), retrying in {format_duration(delay)}"
        case Reconnected(away_s=away, caught_up=count):
            text = f"back after {format_duration(away)}" + (f", {count} caught up" if count else "")
        case Gap(room=room, lost=lost, reason=reason):
            what = "messages" if lost is None else f"{lost} message{'' if lost == 1 else 's'}"
            text = f"could not resume #{room}: {what} will not come ({_REASONS.get(reason, reason)})"
        case Joined(room=room, rejoined=False, member_count=count):
            text = f"joined #{room}, {count} here"
        case JoinRefused(room=room, code=code, message=message):
            text = f"not let into #{room}: {message} ({code})"
        case Left(room=room):
            text = f"left #{room}"
        case Rejected(room=room, content=content, message=message):
            text = f"not sent to #{room}: {content[:60]!r}: {message}"
        case ConnectionWarning(code=code, message=message):
            text = f"{message[:200]} ({code})"
    return text


def record(event: ClientEvent, *, now: str) -> dict[str, object] | None:
    """An event as a record of `--json`; None for events without one. `now` is an RFC 3339 time."""
    kind, facts = _facts(event)
    if kind is None:
        return None
    return {"type": kind, "ts": event.timestamp if isinstance(event, Message) else now} | facts


def _facts(event: ClientEvent) -> tuple[str | None, dict[str, object]]:
    kind, facts = None, dict[str, object]()
    match event:
        case Message():
            kind = "message"
            facts = {
                "room": event.room,
                "id": str(event.position),
                "from": event.sender_name,
                "from_id": str(event.sender_id),
                "text": event.content,
                "history": event.history,
            }
        case Joined():
            kind = "joined"
            facts = {
                "room": event.room,
                "id": None if event.position is None else str(event.position),
                "present": [name for _, name in event.members],
                "present_count": event.member_count,
                "resumed": event.rejoined,
            }
        case Acked():
            kind, facts = "ack", {"room": event.room, "client_id": event.id, "id": str(event.position)}
        case Gap():
            kind, facts = "gap", {"room": event.room, "lost": event.lost, "reason": event.reason}
        case Presence():
            state = "join" if event.here else "leave"
            kind, facts = "presence", {"room": event.room, "from": event.name, "state": state}
        case TypingChanged():
            state = "active" if event.is_typing else "done"
            kind, facts = "typing", {"room": event.room, "from": event.name, "state": state}
    return kind, facts
