"""The evidence of a loss that nobody noticed when it happened: what came before and after it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from rtcli.load.audit.lifecycle import Lifecycle
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Note
from rtcli.load.audit.sender_log import SenderLog, message_id, split_id

_LOOKED_AT = 50  # messages of each log, in each direction


def neighbours(lifecycle: Lifecycle, member: Membership, identity: int) -> list[Note]:
    """Notes of the message before a lost one and of the one after it that the membership received."""
    log_number, number = split_id(identity)
    lost = lifecycle.logs[log_number]
    key, sent = lost.keys[number], lost.sent[number]
    before: list[tuple[int, SenderLog, int]] = []
    after: list[tuple[int, SenderLog, int]] = []
    for log in lifecycle.rooms[member.room].logs:
        for other in _received_near(log, member, sent):
            place = log.keys[other] if key else log.sent[other]
            (before if place < (key or sent) else after).append((place, log, other))
    found = [("before", *max(before, key=_place))] if before else []
    found += [("after", *min(after, key=_place))] if after else []
    return [
        Note(log.sent[other], "note", f"sent, and received {side} it: {log.message_name(other)}".encode())
        for side, _, log, other in found
    ]


def _place(item: tuple[int, SenderLog, int]) -> int:
    return item[0]


def _received_near(log: SenderLog, member: Membership, sent: int) -> Iterator[int]:
    """The numbers of a log's messages, sent at about this time, that the membership received."""
    end = len(log.sent)
    while end and not log.sent[end - 1]:  # never sent
        end -= 1
    middle = bisect_left(log.sent, sent, 0, end)
    for number in range(max(0, middle - _LOOKED_AT), min(end, middle + _LOOKED_AT)):
        key = log.keys[number]
        if key and member.received(message_id(log.number, number), key):
            yield number
