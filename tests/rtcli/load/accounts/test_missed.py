"""Missed deliveries, on random logs, against counting message by message."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

from rtcli.load.accounts.absences import AbsenceKey
from rtcli.load.accounts.attendance import MissedStretch
from rtcli.load.accounts.missed import count_missed
from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.judge import Judge
from rtcli.load.audit.records import Delivery, Subscriber

ROOMS = ("hall", "garden")
USERS = tuple(f"a.b {number}" for number in range(1, 5))  # the name of a role may have a dot


def key(room: str) -> AbsenceKey:
    return AbsenceKey("missed", "a.b", "close_1006", "gone", room=room)


def test_what_others_published_meanwhile_is_missed() -> None:
    for seed in range(300):
        rng = Random(seed)
        audit = Audit(7, 0, delivery_key_of=lambda _at, _lag: 0, on_complete=lambda _entry, _taken: None)
        logs = {
            (name, room): audit.open_log(f"{name}{extra}", room)
            for name in USERS
            for room in ROOMS
            for extra in rng.sample(["", ".2"], 1)
        }
        accepted: list[Message] = []
        now = 1
        for _ in range(rng.randint(0, 60)):
            now += rng.randint(0, 3)
            name, room = rng.choice(USERS), rng.choice(ROOMS)
            number, token = audit.send(logs[name, room], now, now)
            fate = rng.choice(["acknowledged", "acknowledged", "refused", "unanswered"])
            if fate == "acknowledged":
                audit.acknowledge(logs[name, room], number, now + 1, None)
                accepted.append((name, room, now, token))
            elif fate == "refused":
                audit.fail(logs[name, room], number)
        stretches, wanted = [], Counter[str]()
        for name in USERS:
            start = rng.randint(0, now + 2)
            end = start + rng.randint(0, 40)
            room = rng.choice(ROOMS)
            stretches.append(MissedStretch(name, room, start, end, key(room)))
            missed = [it for it in accepted if it[1] == room and start <= it[2] < end and it[0] != name]
            if rng.random() < 0.3:
                missed = catch_up(audit, stretches[-1], missed, rng)
            wanted[room] += len(missed)
        Judge(audit, now + 100, patience=0, self_echo=True).judge()
        found = {group.key.room: group.count for group in count_missed(audit, stretches)}
        assert found == {room: count for room, count in wanted.items() if count}, seed


Message = tuple[str, str, int, bytes]
"""Publisher, room, when it was sent, token."""


def catch_up(audit: Audit, stretch: MissedStretch, missed: list[Message], rng: Random) -> list[Message]:
    """Let the user join again and receive some of what it missed; returns the rest."""
    name, room, now = stretch.user, stretch.room, stretch.end
    user = Subscriber(name)
    member = audit.join(user, room, now, counts=defaultdict(int))
    got = [it for it in missed if rng.random() < 0.5]
    for _, _, _, token in got:
        audit.receive(Delivery(user, room, token, None, now + 1, b"", None))
    audit.joined(member, now + 1)
    return [it for it in missed if it not in got]
