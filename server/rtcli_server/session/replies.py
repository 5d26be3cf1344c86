"""The messages that a session sends, as `Reply` decisions. `wall` is the Unix time in seconds."""

from __future__ import annotations

from rtcli.protocol.codes import ERROR_TEXT, ErrorCode
from rtcli.protocol.messages import (
    Connected,
    ConnectedData,
    Error,
    ErrorData,
    ExpiryData,
    Refreshed,
    ResumedData,
    ServerPing,
    ServerPong,
    TokenExpiring,
    encode,
    format_timestamp,
    user_id_to_wire,
)
from rtcli_server.session.decisions import Reply


def connected(
    *,
    connection_id: str,
    user_id: str,
    instance_id: str,
    heartbeat_s: float,
    expires_at: float,
    wall: float,
    events: ResumedData,
) -> Reply:
    """The first message on every connection: it tells the client who it is, and where its events begin."""
    data = ConnectedData(
        connection_id=connection_id,
        user_id=user_id_to_wire(user_id),
        instance_id=instance_id,
        heartbeat_s=heartbeat_s,
        token_expires_at=format_timestamp(expires_at),
        cursor=events.cursor,
        channels=events.channels,
        recovered=events.recovered,
        reason=events.reason,
    )
    return Reply(encode(Connected(data=data, timestamp=format_timestamp(wall))))


def pong(id_: str | None, wall: float) -> Reply:
    """The answer to a client's `ping`."""
    return Reply(encode(ServerPong(id=id_, timestamp=format_timestamp(wall))))


def ping(wall: float) -> Reply:
    """The heartbeat of v2."""
    return Reply(encode(ServerPing(timestamp=format_timestamp(wall))))


def token_expiring(expires_at: float, wall: float) -> Reply:
    """The token expires soon: the client should refresh it."""
    data = ExpiryData(expires_at=format_timestamp(expires_at))
    return Reply(encode(TokenExpiring(data=data, timestamp=format_timestamp(wall))))


def refreshed(expires_at: float, id_: str | None, wall: float) -> Reply:
    """The new token is accepted."""
    data = ExpiryData(expires_at=format_timestamp(expires_at))
    return Reply(encode(Refreshed(data=data, id=id_, timestamp=format_timestamp(wall))))


def error(
    code: ErrorCode,
    id_: str | None,
    wall: float,
    *,
    text: str | None = None,
    retry_after_ms: int | None = None,
) -> Reply:
    """Why a message was rejected; `text` replaces the standard text of the code."""
    message = ERROR_TEXT[code] if text is None else text
    data = ErrorData(code=code, message=message, retry_after_ms=retry_after_ms)
    return Reply(encode(Error(data=data, id=id_, timestamp=format_timestamp(wall))), code)
