"""What a membership expects, by times of the senders and of the member alone.

It expects a message when the time from its sending to its acknowledgement lies within the time from the
confirmed join to the leave request. When the two only overlap, nobody can tell.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping

from rtcli.load.audit.lifecycle import LOGS_PER_WORKER
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, SenderLog, message_id, split_id


class Expectations:
    """Answers for the messages in `logs`, after the run. Times are in µs, arguments those of `Judge`."""

    def __init__(
        self,
        logs: Mapping[int, SenderLog],
        *,
        patience: int,
        self_echo: bool,
        unknown: frozenset[int],
    ) -> None:
        self._logs = logs
        self._patience = patience
        self._self_echo = self_echo
        self._unknown = unknown
        self._published_by: dict[int, array[int]] = {}  # by log

    def latest_sent(self, room: Room, member: Membership) -> int:
        """When the latest of the messages that the membership has received was sent; 0 without any."""
        latest = 0
        for log in reversed(room.logs):  # with the latest first, the others are hardly looked at
            for number in reversed(range(self.sent_until(log, member.ended or 0))):
                sent, key = log.sent[number], log.keys[number]
                if sent and sent <= latest:
                    break
                if key and sent and member.received(message_id(log.number, number), key):
                    latest = sent
                    break
        return latest

    def sent_until(self, log: SenderLog, at: int) -> int:
        """The number of the log's messages that were sent until a time, or that may have been."""
        if log.number // LOGS_PER_WORKER in self._unknown:  # only what came is known of it
            return len(log.sent)
        end = len(log.sent)
        while end and not log.sent[end - 1]:  # never sent
            end -= 1
        return bisect_right(log.sent, at, 0, end)

    def was_before(self, identity: int, latest: int) -> bool:
        """Whether the message was published before the time at which another one was sent."""
        log_number, number = split_id(identity)
        ack = self._logs[log_number].acks[number]
        return ack not in {0, FAILED} and abs(ack) <= latest

    def published(self, log: SenderLog) -> array[int]:
        """By number, when this message and all before it in its log were certainly published."""
        found = self._published_by.get(log.number)
        if found is None:
            never, latest = 1 << 62, 0
            found = self._published_by[log.number] = array("q")
            for number in range(len(log.sent)):
                if log.sent[number] and log.acks[number] != FAILED:
                    known = log.known_by(number, self._patience)
                    latest = max(latest, never if known is None else known)
                found.append(latest)
        return found

    def is_wanted(self, room: Room, member: Membership, log: SenderLog, number: int) -> bool:
        """Whether the message is for the room's members at all, and for this one."""
        if log.acks[number] == FAILED or log.room != room.name or not log.sent[number]:
            return False
        return self._self_echo or log.publisher != member.user

    def is_expected(self, member: Membership, log: SenderLog, number: int) -> bool | None:
        """Whether the membership should have received the message; None when nobody can tell."""
        joined, end, sent = member.joined or 0, member.until, log.sent[number]
        known = log.known_by(number, self._patience)
        if sent >= end or (known is not None and known < joined):
            return False
        if known is None or sent < joined or known > end:
            return None
        return True
