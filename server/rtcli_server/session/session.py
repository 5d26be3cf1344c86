"""One WebSocket connection as a state machine: the rules of protocol.md section 3, and no socket, no clock.

What arrives goes into `receive`, the passing of time into `tick`; both return what is to be done, in order.
The driver does it and reports how it went: `joined`, `refreshed`, `refresh_failed`. A command
that has to wait (a join, a refresh) is reported before the next message is handed in: so order is kept.

Times: `now` is monotonic seconds, `wall` is Unix seconds.
"""

from __future__ import annotations

import math
from math import inf

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.messages import (
    ChatMessage,
    ClientMessage,
    JoinRoom,
    LeaveRoom,
    MessageError,
    Ping,
    Pong,
    Refresh,
    Typing,
    decode_client,
)
from rtcli.protocol.position import InvalidPositionError, Position, parse_position
from rtcli.protocol.rooms import is_valid_room
from rtcli_server.limits.token_bucket import TokenBucket
from rtcli_server.session import replies
from rtcli_server.session.decisions import (
    CheckToken,
    Close,
    Decision,
    Join,
    Leave,
    Publish,
    Reply,
    SendPing,
    SetTyping,
)
from rtcli_server.session.settings import HeartbeatMode, Rights, SessionSettings
from rtcli_server.session.timers import Expiry, ExpiryTimer, HeartbeatAction, HeartbeatTimer

_CHEAP_CHARACTERS = 4_096

__all__ = ["HeartbeatMode", "Rights", "Session", "SessionSettings"]


class Session:
    """The state of one connection. `rooms` are its memberships; after a Close decision it is `closed`."""

    __slots__ = (
        "_bucket", "_expiry", "_heartbeat", "_instance_id", "_invalid", "_refused", "_refused_at",
        "_settings", "_timer", "_user_bucket", "_writable", "closed", "connection_id", "rights", "rooms",
    )  # fmt: skip

    def __init__(
        self,
        *,
        connection_id: str,
        rights: Rights,
        instance_id: str,
        heartbeat: HeartbeatMode,
        settings: SessionSettings,
        now: float,
        wall: float,
        user_bucket: TokenBucket | None = None,
    ) -> None:
        self.connection_id = connection_id
        self.rights = rights
        self.rooms: set[str] = set()
        self.closed = False
        self._writable: set[str] = set()  # rooms to publish in: asked once, not for every message
        self._instance_id = instance_id
        self._settings = settings
        self._user_bucket = user_bucket  # of all connections of this user
        self._heartbeat = heartbeat
        self._timer = self._heartbeat_timer(now)
        self._expiry = self._expiry_timer(wall)
        rate = settings.rate_limit_per_s
        self._bucket = None if rate is None else TokenBucket(rate, settings.rate_burst, now)
        self._invalid = 0  # messages in a row
        self._refused = 0  # messages over the rate, without a pause that would have filled the bucket
        self._refused_at = -inf

    def _heartbeat_timer(self, now: float) -> HeartbeatTimer:
        s = self._settings
        if self._heartbeat is HeartbeatMode.SERVER:
            interval_s, timeout_s, max_misses = s.ping_interval_s, s.pong_timeout_s, s.max_misses
        else:
            interval_s, timeout_s, max_misses = s.rfc_ping_interval_s, s.rfc_ping_timeout_s, 1
        return HeartbeatTimer(interval_s=interval_s, timeout_s=timeout_s, max_misses=max_misses, now=now)

    def _expiry_timer(self, wall: float) -> ExpiryTimer:
        s = self._settings
        return ExpiryTimer(
            self.rights.expires_at, notice_s=s.token_expiring_s, grace_s=s.expiry_grace_s, wall=wall
        )

    # -- what arrives --------------------------------------------------------------------------------------

    def opening(self, wall: float) -> list[Decision]:
        """Say who the client is: the first message on every connection."""
        s = self._settings
        reply = replies.connected(
            connection_id=self.connection_id,
            user_id=self.rights.user_id,
            instance_id=self._instance_id,
            heartbeat_s=s.ping_interval_s
            if self._heartbeat is HeartbeatMode.SERVER
            else s.rfc_ping_interval_s,
            expires_at=self.rights.expires_at,
            wall=wall,
        )
        return [reply]

    def heard(self) -> None:
        """Take notice of a sign of life that is no message: an RFC 6455 pong, a message still waiting."""
        self._timer.heard = True

    def receive(self, text: str | bytes | bytearray | memoryview, now: float, wall: float) -> list[Decision]:
        """Take one text message. Bytes that are not UTF-8 end the connection (RFC 6455, section 8.1)."""
        if self.closed:
            return []
        self._timer.heard = True
        if not isinstance(text, str):
            try:
                text = str(text, "utf-8")
            except UnicodeDecodeError:
                return [self._close(CloseCode.INVALID_PAYLOAD, "not UTF-8")]
        if self._bucket is not None:
            wait_s = self._bucket.take(now)
            if not wait_s and self._user_bucket is not None:
                wait_s = self._user_bucket.take(now)
            if wait_s:
                return self._refuse(text, wait_s, now, wall)
        try:
            message = decode_client(text)
        except MessageError as error:
            return self._complain(error, wall)
        self._invalid = 0
        if type(message) is ChatMessage and message.data.room in self._writable:
            return [Publish(message.data.room, message.data.content, message.id or None)]
        return self._follow(message, wall)

    def receive_binary(self, wall: float) -> list[Decision]:
        """Take a binary message: there are none in this protocol."""
        if self.closed:
            return []
        return [
            replies.error(ErrorCode.UNSUPPORTED_DATA, None, wall),
            self._close(CloseCode.UNSUPPORTED_DATA, ErrorCode.UNSUPPORTED_DATA),
        ]

    def _follow(self, message: ClientMessage, wall: float) -> list[Decision]:
        decision: Decision | None = None
        match message:
            case ChatMessage():
                decision = self._cannot(message.data.room, message.id, wall)
            case Typing():
                decision = self._type(message, wall)
            case JoinRoom():
                decision = self._join(message, wall)
            case LeaveRoom():
                decision = self._leave(message, wall)
            case Refresh():
                decision = CheckToken(message.data.token, message.id)
            case Ping():
                decision = replies.pong(message.id, wall)
            case Pong():
                pass  # that something was heard is all there is to it
        return [] if decision is None else [decision]

    def _type(self, message: Typing, wall: float) -> Decision:
        room = message.data.room
        if room in self._writable:
            return SetTyping(room, message.data.is_typing)
        return self._cannot(room, message.id, wall)

    def _join(self, message: JoinRoom, wall: float) -> Decision:
        room, since_text = message.data.room, message.data.since
        if not is_valid_room(room):
            return replies.error(ErrorCode.INVALID_ROOM, message.id, wall)
        if not self.rights.can_join(room):
            return replies.error(ErrorCode.FORBIDDEN, message.id, wall)
        if room not in self.rooms and len(self.rooms) >= self._settings.max_rooms:
            return replies.error(ErrorCode.TOO_MANY_ROOMS, message.id, wall)
        since = None if since_text is None else _position(since_text)
        since_invalid = since is None and since_text is not None
        return Join(room, since, since_invalid, message.data.history, message.id)

    def _leave(self, message: LeaveRoom, wall: float) -> Decision:
        room = message.data.room
        if room not in self.rooms:
            return self._cannot(room, message.id, wall)
        self._forget(room)
        return Leave(room, message.id)

    def _cannot(self, room: str, id_: str | None, wall: float) -> Reply:
        """Say why a message for this room is not followed."""
        if room in self.rooms:
            return replies.error(ErrorCode.FORBIDDEN, id_, wall)
        code = ErrorCode.NOT_IN_ROOM if is_valid_room(room) else ErrorCode.INVALID_ROOM
        return replies.error(code, id_, wall)

    # -- what is refused -----------------------------------------------------------------------------------

    def _complain(self, error: MessageError, wall: float) -> list[Decision]:
        reply = replies.error(error.code, error.id, wall, text=error.message)
        self._invalid += 1
        if self._invalid < self._settings.max_invalid:
            return [reply]
        return [reply, self._close(CloseCode.PROTOCOL_VIOLATION, "protocol_violation")]

    def _refuse(self, text: str, wait_s: float, now: float, wall: float) -> list[Decision]:
        s = self._settings
        if s.rate_limit_per_s is not None and now - self._refused_at > s.rate_burst / s.rate_limit_per_s:
            self._refused = 0
        self._refused_at = now
        self._refused += 1
        wait_ms = math.ceil(wait_s * 1000)
        reply = replies.error(ErrorCode.RATE_LIMITED, _id_of(text), wall, retry_after_ms=wait_ms)
        if self._refused < s.max_refused:
            return [reply]
        return [reply, self._close(CloseCode.RATE_LIMITED, ErrorCode.RATE_LIMITED, s.refused_retry_ms)]

    def _close(self, code: CloseCode, reason: str, retry_after_ms: int | None = None) -> Close:
        self.closed = True
        return Close(code, reason, retry_after_ms)

    # -- how it went ---------------------------------------------------------------------------------------

    def joined(self, room: str) -> None:
        """Take notice that a Join was done."""
        self.rooms.add(room)
        if self.rights.can_publish(room):
            self._writable.add(room)

    def _forget(self, room: str) -> None:
        self.rooms.discard(room)
        self._writable.discard(room)

    def refreshed(self, rights: Rights, id_: str | None, wall: float) -> list[Decision]:
        """Go on with a verified token, if it is the same user's; leave the rooms that it does not allow."""
        if rights.user_id != self.rights.user_id:
            return self.refresh_failed(id_, wall)
        self.rights = rights
        self._expiry = self._expiry_timer(wall)
        decisions: list[Decision] = [replies.refreshed(rights.expires_at, id_, wall)]
        lost = sorted(room for room in self.rooms if not rights.can_join(room))
        for room in lost:
            self._forget(room)
            decisions.append(Leave(room, None))
        self._writable = {room for room in self.rooms if rights.can_publish(room)}
        return decisions

    def refresh_failed(self, id_: str | None, wall: float) -> list[Decision]:
        """Say that the token was no good; the one before holds on."""
        return [replies.error(ErrorCode.INVALID_TOKEN, id_, wall)]

    # -- the passing of time -------------------------------------------------------------------------------

    def due(self, now: float, wall: float) -> float:
        """When (monotonic) `tick` is to be called next; after a jump of the wall clock, ask again."""
        return inf if self.closed else min(self._timer.due, now + max(0.0, self._expiry.due - wall))

    def tick(self, now: float, wall: float) -> list[Decision]:
        """Decide what time alone brings: heartbeats, and the end of the token."""
        if self.closed:
            return []
        expiry = self._expiry.tick(wall)
        if expiry is Expiry.OVER:
            return [self._close(CloseCode.TOKEN_EXPIRED, "token_expired", 0)]
        decisions: list[Decision] = []
        if expiry is Expiry.SOON:
            decisions.append(replies.token_expiring(self.rights.expires_at, wall))
        action = self._timer.tick(now)
        if action is HeartbeatAction.DEAD:
            decisions.append(self._close(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat_timeout", 0))
        elif action is HeartbeatAction.PING and self._heartbeat is HeartbeatMode.SERVER:
            decisions.append(replies.ping(wall))
        elif action is HeartbeatAction.PING:
            decisions.append(SendPing())
        return decisions


def _position(text: str) -> Position | None:
    try:
        return parse_position(text)
    except InvalidPositionError:
        return None


def _id_of(text: str) -> str | None:
    """The `id` of a message that is refused unread, where it costs little to find."""
    if len(text) > _CHEAP_CHARACTERS:
        return None
    try:
        return decode_client(text).id
    except MessageError as error:
        return error.id
