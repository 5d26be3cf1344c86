"""What a client tells of that is in no log: members of rooms, and events for it alone. Pure."""

from __future__ import annotations

from rtcli.client.events import ClientEvent, Direct, Presence, TypingChanged
from rtcli.protocol.messages import server as theirs


def ephemeral_events(message: theirs.ServerMessage) -> list[ClientEvent]:
    """Events about the members of a room, and for us alone; none for other messages."""
    match message:
        case theirs.UserJoined(data=who):
            return [Presence(who.room, who.user_id, who.name, here=True)]
        case theirs.UserLeft(data=who):
            return [Presence(who.room, who.user_id, who.name, here=False)]
        case theirs.UserTyping(data=typing):
            return [TypingChanged(typing.room, typing.user_id, typing.name, typing.is_typing)]
        case theirs.Direct(data=told):
            return [Direct(told.event, told.data)]
    return []
