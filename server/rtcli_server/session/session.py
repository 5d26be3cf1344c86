"""One WebSocket connection as a state machine: the rules of protocol.md section 3, and no socket, no clock.

Messages go into `receive`, the passing of time into `tick`; both return what is to be done, in order. The
connection does it and reports the outcome: `joined`, `refreshed`, `refresh_failed`. The outcome of a command
that takes time (a join, a refresh) is reported before the next message is handed in: so order is kept.

Times: `now` is monotonic seconds, `wall` is Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from math import inf

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.messages import (
    AskCursor,
    ChatMessage,
    ClientMessage,
    JoinRoom,
    LeaveRoom,
    MessageError,
    Ping,
    Pong,
    Refresh,
    ResumedData,
    Typing,
    decode_client,
)
from rtcli.protocol.position import InvalidPositionError, Position, parse_position
from rtcli.protocol.rooms import room_of
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
    TellCursor,
)
from rtcli_server.session.memberships import Memberships
from rtcli_server.session.settings import HeartbeatMode, Rights, SessionSettings
from rtcli_server.session.timers import Expiry, ExpiryTimer, HeartbeatAction, new_heartbeat_timer

_CHEAP_CHARACTERS = 4_096
_NO_EVENTS = ResumedData()
_NO_POSITIONS: dict[str, Position] = {}  # shared, and stays empty


class Session:
    """The state of one connection; `closed` is set by a Close decision."""

    __slots__ = (
        "_bucket", "_expiry", "_heartbeat", "_instance_id", "_invalid", "_memberships", "_positions",
        "_refused", "_refused_at", "_settings", "_timer", "_user_bucket", "_writable", "closed",
        "connection_id", "rights",
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
        self.closed = False
        self._memberships = Memberships()
        self._writable = self._memberships.writable
        self._instance_id = instance_id
        self._settings = settings
        self._user_bucket = user_bucket  # of all connections of this user
        self._heartbeat = heartbeat
        self._timer = new_heartbeat_timer(settings, heartbeat, now)
        self._expiry = self._expiry_timer(wall)
        rate = settings.rate_limit_per_s
        self._bucket = None if rate is None else TokenBucket(rate, settings.rate_burst, now)
        self._positions = _NO_POSITIONS
        self._invalid = 0  # messages in a row
        self._refused = 0  # messages over the rate, without a pause that would have filled the bucket
        self._refused_at = -inf

    def _expiry_timer(self, wall: float) -> ExpiryTimer:
        s = self._settings
        return ExpiryTimer(
            self.rights.expires_at, notice_s=s.token_expiring_s, grace_s=s.expiry_grace_s, wall=wall
        )

    # -- what arrives --------------------------------------------------------------------------------------

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Take positions of rooms, by name, from which their first joins go on. One that fails is none."""
        self._positions = dict(positions)

    def opening(self, wall: float, events: ResumedData = _NO_EVENTS) -> list[Decision]:
        """Give the first message on every connection: it tells the client who it is."""
        reply = replies.connected(
            connection_id=self.connection_id,
            user_id=self.rights.user_id,
            instance_id=self._instance_id,
            heartbeat_s=self._timer.interval_s,
            expires_at=self.rights.expires_at,
            wall=wall,
            events=events,
        )
        return [reply]

    def message_waits(self) -> None:
        """Record that a message has arrived that `receive` will be given later: it is a sign of life now."""
        self._timer.heard = True

    def no_message(self) -> None:
        """Record something else than a message: a control frame, an invalid text.

        It is a sign of life on `/ws`. What `/ws/v2` asks for is a message (protocol.md, section 3): a client
        whose WebSocket library answers frames, and whose program hangs, is dead.
        """
        if self._heartbeat is HeartbeatMode.CLIENT:
            self._timer.heard = True

    def receive(self, text: str | bytes | bytearray | memoryview, now: float, wall: float) -> list[Decision]:
        """Handle one text message. Bytes that are not UTF-8 close the connection (RFC 6455, section 8.1)."""
        if self.closed:
            return []
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
                return self._on_rate_limited(text, wait_s, now, wall)
        try:
            message = decode_client(text)
        except MessageError as error:
            return self._on_invalid(error, wall)
        self._timer.heard = True
        self._invalid = 0
        if type(message) is ChatMessage:
            spelling = message.data.room
            room = self._writable.get(spelling)
            if room is not None:
                return [Publish(room, message.data.content, message.id or None, spelling)]
        return self._handle(message, wall)

    def receive_binary(self, wall: float) -> list[Decision]:
        """Handle a binary message: this protocol has none, so it closes the connection."""
        if self.closed:
            return []
        return [
            replies.error(ErrorCode.UNSUPPORTED_DATA, None, wall),
            self._close(CloseCode.UNSUPPORTED_DATA, ErrorCode.UNSUPPORTED_DATA),
        ]

    def _handle(self, message: ClientMessage, wall: float) -> list[Decision]:
        decision: Decision | None = None
        match message:
            case ChatMessage():
                decision = self._publish(message, wall)
            case Typing():
                decision = self._type(message, wall)
            case JoinRoom():
                decision = self._join(message, wall)
            case LeaveRoom():
                decision = self._leave(message, wall)
            case Refresh():
                decision = CheckToken(message.data.token, message.id)
            case AskCursor():
                decision = TellCursor(message.id)
            case Ping():
                decision = replies.pong(message.id, wall)
            case Pong():
                pass  # a sign of life, which `receive` has recorded
        return [] if decision is None else [decision]

    def _publish(self, message: ChatMessage, wall: float) -> Decision:
        """Handle a message whose room is not known under that spelling."""
        room = room_of(message.data.room)
        if room in self._writable:
            return Publish(room, message.data.content, message.id or None, message.data.room)
        return self._room_error(room, message.id, wall)

    def _type(self, message: Typing, wall: float) -> Decision:
        room = self._writable.get(message.data.room) or room_of(message.data.room)
        if room in self._writable:
            return SetTyping(room, message.data.is_typing)
        return self._room_error(room, message.id, wall)

    def _join(self, message: JoinRoom, wall: float) -> Decision:
        room, since_text = room_of(message.data.room), message.data.since
        if room is None:
            return replies.error(ErrorCode.INVALID_ROOM, message.id, wall)
        if not self.rights.can_join(room):
            return replies.error(ErrorCode.FORBIDDEN, message.id, wall)
        if room not in self.rooms and len(self.rooms) >= self._settings.max_rooms:
            return replies.error(ErrorCode.TOO_MANY_ROOMS, message.id, wall)
        since = self._positions.get(room) if since_text is None else _position(since_text)
        since_invalid = since is None and since_text is not None
        return Join(room, since, since_invalid, message.data.history, message.id, message.data.room)

    def _leave(self, message: LeaveRoom, wall: float) -> Decision:
        room = room_of(message.data.room)
        if room is None or room not in self.rooms:
            return self._room_error(room, message.id, wall)
        self._memberships.remove(room)
        return Leave(room, message.id, message.data.room)

    def _room_error(self, room: str | None, id_: str | None, wall: float) -> Reply:
        """Say why a message for this room is rejected; None: it is the name of none."""
        if room in self.rooms:
            return replies.error(ErrorCode.FORBIDDEN, id_, wall)
        code = ErrorCode.NOT_IN_ROOM if room is not None else ErrorCode.INVALID_ROOM
        return replies.error(code, id_, wall)

    # -- what is rejected ----------------------------------------------------------------------------------

    def _on_invalid(self, error: MessageError, wall: float) -> list[Decision]:
        self.no_message()
        reply = replies.error(error.code, error.id, wall, text=error.message)
        self._invalid += 1
        if self._invalid < self._settings.max_invalid:
            return [reply]
        return [reply, self._close(CloseCode.PROTOCOL_VIOLATION, "protocol_violation")]

    def _on_rate_limited(self, text: str, wait_s: float, now: float, wall: float) -> list[Decision]:
        s = self._settings
        self._timer.heard = True
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

    # -- outcomes ------------------------------------------------------------------------------------------

    @property
    def rooms(self) -> AbstractSet[str]:
        """The rooms in which the client is, in NFC."""
        return self._memberships.rooms

    def joined(self, join: Join) -> None:
        """Record that a Join has been carried out."""
        self._positions.pop(join.room, None)
        self._memberships.add(join.room, join.spelling, may_publish=self.rights.can_publish(join.room))

    def refreshed(self, rights: Rights, id_: str | None, wall: float) -> list[Decision]:
        """Continue with a verified token of the same user; leave the rooms that it does not allow."""
        if rights.user_id != self.rights.user_id:
            return self.refresh_failed(id_, wall)
        self.rights = rights
        self._expiry = self._expiry_timer(wall)
        decisions: list[Decision] = [replies.refreshed(rights.expires_at, id_, wall)]
        lost = sorted(room for room in self.rooms if not rights.can_join(room))
        for room in lost:
            decisions.append(Leave(room, None, self._memberships.spelling_of(room)))
            self._memberships.remove(room)
        self._memberships.restrict(rights.can_publish)
        return decisions

    def refresh_failed(self, id_: str | None, wall: float) -> list[Decision]:
        """Reject the new token; the old one stays valid."""
        return [replies.error(ErrorCode.INVALID_TOKEN, id_, wall)]

    # -- the passing of time -------------------------------------------------------------------------------

    def due(self, now: float, wall: float) -> float:
        """The monotonic time of the next `tick`; ask again after the wall clock has jumped."""
        return inf if self.closed else min(self._timer.due, now + max(0.0, self._expiry.due - wall))

    def tick(self, now: float, wall: float) -> list[Decision]:
        """Decide what is due: heartbeats, and the expiry of the token."""
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
    """The `id` of a message over the rate limit, unless the message is too long to be worth decoding."""
    if len(text) > _CHEAP_CHARACTERS:
        return None
    try:
        return decode_client(text).id
    except MessageError as error:
        return error.id
