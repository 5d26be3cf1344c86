"""The deployment and what its users do; faults happen where it delivers and resumes."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.token import LENGTH
from tests.support.load.audit_world.records import PATIENCE, Item, Message, Named, Person, Stay
from tests.support.load.audit_world.spoiling import RUN, alter, damage, invented, random_text

FAULTS = {
    "drop": 0.03,
    "repeat": 0.03,
    "swap": 0.03,
    "leak": 0.05,
    "phantom": 0.02,
    "swallow": 0.02,
    "refuse": 0.04,
    "ghost": 0.5,
    "lie": 0.2,
    "excess": 0.2,
    "alter": 0.03,
}
"""What the deployment does wrong: the chance of each kind of fault."""


class Deployment:
    """The deployment. `ordered`: its envelopes tell offsets. `faults`: the chances of each kind.

    `told`: the audit learns which part of an envelope is the text; `rooms_told`: which room it is of. Users
    take turns with the `workers`; what these exchange at the end is what the coordinator passes on.
    """

    def __init__(
        self,
        seed: int,
        *,
        ordered: bool,
        users: int,
        rooms: int,
        faults: dict[str, float],
        told: bool = True,
        rooms_told: bool = True,
        workers: int = 1,
    ) -> None:
        self.rng = Random(seed)
        self.ordered = ordered
        self.told = told
        self.rooms_told = rooms_told
        self.faults = faults
        self.now = 1_000
        self.counts: dict[int, int] = defaultdict(int)
        self.passed: list[int] = []
        self.audits = [
            Audit(
                RUN,
                0,
                delivery_key_of=lambda _at, _lag: 0,
                on_complete=lambda entry, _taken: self.passed.append(entry.identity),
                worker=worker,
                workers=workers,
            )
            for worker in range(workers)
        ]
        self.people = [Person(f"user {number}", self.audits[number % workers]) for number in range(users)]
        self.rooms = [f"room-{number}" for number in range(rooms)]
        self.log: dict[str, list[Message]] = {room: [] for room in self.rooms}
        self.messages: list[Message] = []
        self.by_token: dict[bytes, Message] = {}
        self.stays: list[Stay] = []
        self.named: Named = Counter()
        self.counted = 0  # deliveries that are first ones, in their place
        self.seen_up_to = Counter[str]()  # by room

    # -- the clock and the dice ----------------------------------------------------------------------------

    def tick(self) -> int:
        self.now += self.rng.randint(1, 5)
        return self.now

    def sweep(self) -> None:
        for audit in self.audits:
            audit.sweep(self.now, patience=PATIENCE)

    def fault(self, kind: str) -> bool:
        return self.rng.random() < self.faults.get(kind, 0.0)

    # -- users ---------------------------------------------------------------------------------------------

    def join(self, person: Person, room: str) -> None:
        if not person.connected or room in person.stays or room in person.wanted:
            return
        member = person.audit.join(person.subscriber, room, self.tick(), counts=self.counts)
        stay = Stay(person.name, room, member, start=self.seen_up_to[room], since=len(self.log[room]))
        person.stays[room] = stay
        self.stays.append(stay)
        person.wanted.add(room)
        person.way.append(Item("joined", room))

    def leave(self, person: Person, room: str) -> None:
        stay = person.stays.get(room)
        if not person.connected or stay is None or stay.joined is None or stay.leaving is not None:
            return
        stay.leaving = self.tick()
        person.audit.leaving(stay.member, stay.leaving)
        self.flush(person, room)
        person.wanted.discard(room)
        person.way.append(Item("left", room))

    def send(self, person: Person, room: str) -> None:
        if not person.connected or room not in person.stays or person.stays[room].joined is None:
            return
        if person.stays[room].leaving is not None:
            return
        log = person.logs.get(room)
        if log is None:
            log = person.logs[room] = person.audit.open_log(person.name, room)
        at = self.tick()
        rest = random_text(self.rng)
        number, token = person.audit.send(log, at, at, rest)
        text = token.decode() + rest
        message = Message(f"{log.number}/{number}", room, token, log, number, at, text)
        self.messages.append(message)
        self.by_token[token] = message
        if self.fault("swallow"):  # neither published nor answered
            return
        if self.fault("refuse"):
            person.way.append(Item("error", room, message))
            if self.fault("ghost"):
                self.publish(message)
            return
        self.publish(message)
        person.way.append(Item("ack", room, message))

    def publish(self, message: Message) -> None:
        self.tick()
        self.log[message.room].append(message)
        message.offset = len(self.log[message.room])
        for person in self.people:
            if message.room in person.wanted and person.connected:
                self.hand_out(person, message)

    def hand_out(self, person: Person, message: Message) -> None:
        """Fan-out to one user, with the faults that are due."""
        item = Item("data", message.room, message, message.token, message.offset, message.text)
        if self.fault("drop"):
            return
        if self.fault("corrupt"):
            item.token = damage(self.rng, item.token)
            item.text = item.token.decode() + item.text[LENGTH:]
        if self.fault("alter"):
            item.text = alter(self.rng, item.text)
        if self.fault("swap"):
            person.held.setdefault(message.room, []).append(item)
            return
        person.way.append(item)
        self.flush(person, message.room)
        if self.fault("repeat"):
            person.way.append(item)
        if self.fault("leak"):
            other = self.rng.choice(self.people)
            if (
                other.connected
                and not other.way
                and message.room not in other.stays | dict.fromkeys(other.wanted)
            ):
                other.way.append(item)
        if self.fault("phantom"):
            token = invented(self.rng, message)
            person.way.append(Item("data", message.room, None, token, message.offset, token.decode()))

    def flush(self, person: Person, room: str) -> None:
        person.way.extend(person.held.pop(room, ()))

    def kill(self, person: Person) -> None:
        if not person.connected:
            return
        person.connected = False
        person.way.clear()
        person.held.clear()
        at = self.tick()
        for log in person.logs.values():
            log.ended = at
        person.logs.clear()
        for room, stay in list(person.stays.items()):
            if stay.joined is None:
                person.audit.given_up(person.subscriber, stay.member, at)
                self.end(person, stay, at, "lost")
                person.wanted.discard(room)
            else:
                stay.lost = at if stay.lost is None else stay.lost
                person.audit.lost(stay.member, at)

    def come_back(self, person: Person) -> None:
        """Reconnect, and resume each room: honestly, with a lie, or with the word that it cannot be."""
        if person.connected:
            return
        person.connected = True
        for room, stay in list(person.stays.items()):
            if room not in person.wanted:  # the leave had been asked for
                person.audit.given_up(person.subscriber, stay.member, self.tick())
                self.end(person, stay, stay.lost or self.now, "lost")
            elif self.rng.random() < 0.2:
                person.way.append(Item("declared", room, offset=len(self.log[room])))
            else:
                self.resume(person, room, stay)

    def resume(self, person: Person, room: str, stay: Stay) -> None:
        since = max(stay.top, stay.since)
        person.way.append(Item("resumed", room))
        if self.fault("lie"):
            return
        missed = self.log[room][since:]
        if self.fault("excess") and since:
            missed = self.log[room][since - 1 :]
        for message in missed:
            person.way.append(Item("data", room, message, message.token, message.offset, message.text))

    def give_up(self, person: Person) -> None:
        if person.connected:
            return
        for room, stay in list(person.stays.items()):
            person.audit.given_up(person.subscriber, stay.member, self.tick())
            self.end(person, stay, stay.lost or self.now, "lost")
            person.wanted.discard(room)

    def end(self, person: Person, stay: Stay, at: int, how: str) -> None:
        stay.ended, stay.end = at, how
        if how == "left" and stay.leaving is None:
            stay.leaving = at
        person.stays.pop(stay.room, None)
