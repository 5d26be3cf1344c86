"""The status line: the connection, the room, who types, and how many texts are not sent. Pure."""

from __future__ import annotations

from rtcli.apps.chat.model import ChatModel
from rtcli.terminal.escaping import escape

_MAX_TYPING_NAMES = 3


def status_line(model: ChatModel, *, unsent: int, now: float, width: int) -> str:
    """The status in at most `width` columns, with the number of unsent texts at the right end."""
    parts = [_connection(model, now), *_room(model), *_typing(model, now)]
    left = "  ".join(part for part in parts if part)
    right = f"{unsent} unsent " if unsent else ""
    room = max(0, width - len(right) - 1)
    return f" {left}"[:room].ljust(room) + right


def _connection(model: ChatModel, now: float) -> str:
    if model.connected:
        mark = "●" if model.wide else "[ok]"
        return mark if model.round_trip_s is None else f"{mark} {model.round_trip_s * 1000:.0f} ms"
    if model.retry_at is None:
        return "◌ connecting" if model.wide else "[connecting]"
    left = max(0.0, model.retry_at - now)
    when = f"in {left:.0f} s" if left >= 1 else "now"
    tries = f" (try {model.attempt})" if model.attempt > 1 else ""
    return f"{'◌ ' if model.wide else ''}reconnecting {when}{tries}"


def _room(model: ChatModel) -> list[str]:
    room = model.rooms.get(model.active)
    if room is None:
        return ["no room"] if model.connected else []
    others = len(model.rooms) - 1
    return [f"#{escape(room.name)}" + (f" +{others}" if others else ""), f"{room.count} here"]


def _typing(model: ChatModel, now: float) -> list[str]:
    names = model.typing_names(now)
    if not names:
        return []
    dots = "…" if model.wide else "..."
    if len(names) > _MAX_TYPING_NAMES:
        return [f"{len(names)} people typing{dots}"]
    return [f"{', '.join(names)} typing{dots}"]
