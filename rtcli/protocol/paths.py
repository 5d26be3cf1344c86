"""The paths that the server serves and clients ask for (protocol.md, sections 3 to 5)."""

from __future__ import annotations

from urllib.parse import quote

from rtcli.protocol.rooms import nfc

API_PREFIX = "/api/v1"
WEBSOCKET_PATH = f"{API_PREFIX}/ws"
WEBSOCKET_V2_PATH = f"{API_PREFIX}/ws/v2"
EVENT_STREAM_PATH = f"{API_PREFIX}/events/stream"
NOTIFICATION_STREAM_PATH = f"{API_PREFIX}/notifications/stream"
HEARTBEAT_STREAM_PATH = f"{API_PREFIX}/sse/stream"
ROOMS_PATH = f"{API_PREFIX}/rooms"
CURSOR_PARAMETER = "last_event_id"  # of a request that resumes; the header of event streams has the same name
BATCH_PATH = f"{API_PREFIX}/batch"
REVOCATIONS_PATH = f"{API_PREFIX}/revocations"


def websocket_address(url: str, *, events: bool, cursor: str = "") -> str:
    """Say in the URL of a WebSocket whether it gets personal and broadcast events, and where it goes on."""
    query = f"events={events:d}"
    if cursor:
        query += f"&{CURSOR_PARAMETER}={quote(cursor, safe='')}"
    return f"{url}{'&' if '?' in url else '?'}{query}"


def user_connections_path(user_id: str) -> str:
    """The path of all that a user has open: DELETE closes it."""
    return f"{API_PREFIX}/users/{quote(user_id, safe='')}/connections"


def room_messages_path(room: str) -> str:
    """The path of a room's messages: GET reads, POST publishes."""
    return f"{ROOMS_PATH}/{quote(nfc(room), safe='')}/messages"


def room_members_path(room: str) -> str:
    """The path of a room's members."""
    return f"{ROOMS_PATH}/{quote(nfc(room), safe='')}/members"
