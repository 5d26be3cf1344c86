"""A deployment and its users in miniature, driven by a seed: what it does is told to the audit, and recorded.

The recorder judges by itself, from complete lists of who received what and when, in the plainest way that
follows loadtest.md section 4. No pointer, no exception list: that is what the audit is compared with.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judge import Account, Judge
from rtcli.load.audit.ledger_exchange import export_ledger, import_ledgers
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Delivery, Subscriber
from rtcli.load.audit.sender_log import SenderLog, split_id
from rtcli.load.audit.token import LENGTH, encode_token, room_code
from rtcli.protocol.position import Position

PATIENCE = 50
CHARACTERS = 'ab "\\/\n\t\x01<&>\u00e9\u4e2d\u0645\u2028\U0001f600~'
RUN = 77
Named = Counter[tuple[str, str, str, str]]
"""(kind, subscriber, room, message), counted."""
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


@dataclass
class Message:
    """One message, as the world knows it."""

    name: str
    room: str
    token: bytes
    log: SenderLog
    number: int
    sent: int
    text: str = ""  # token included
    offset: int = 0
    acked: int | None = None
    failed: bool = False
    first_seen: int | None = None


@dataclass
class Item:
    """Something on its way to a user."""

    kind: Literal["data", "joined", "left", "resumed", "declared", "ack", "error"]
    room: str
    message: Message | None = None
    token: bytes = b""
    offset: int = 0
    text: str = ""


@dataclass
class Stay:
    """A stay in a room, as the recorder keeps it: `seen` are messages with the time, in order of arrival."""

    user: str
    room: str
    member: Membership
    joined: int | None = None
    leaving: int | None = None
    ended: int | None = None
    end: str = "open"
    lost: int | None = None
    seen: list[tuple[Message, int]] = field(default_factory=list)
    outages: list[tuple[int, int, int]] = field(default_factory=list)  # highest offset seen, lost, back
    spoilt: set[str] = field(default_factory=set)  # messages that came damaged
    top: int = 0  # the highest offset seen
    start: int = 0  # the highest offset that anybody had seen when it was in
    since: int = 0  # where the log stood when the server took the subscriber in


class Person:
    """A user: the way to it, and where it stands."""

    def __init__(self, name: str, audit: Audit) -> None:
        self.name = name
        self.audit = audit  # of its worker
        self.subscriber = Subscriber(name)
        self.way: deque[Item] = deque()
        self.connected = True
        self.stays: dict[str, Stay] = {}
        self.wanted: set[str] = set()  # rooms that it is in, on the server's side
        self.logs: dict[str, SenderLog] = {}
        self.held: dict[str, list[Item]] = {}  # kept back, to be swapped with what follows


class World:
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
            token = self.invent(message)
            person.way.append(Item("data", message.room, None, token, message.offset, token.decode()))

    def invent(self, message: Message) -> bytes:
        """A token that nobody sent: of another run, of no sender, or beyond what this sender sent."""
        code = room_code(message.room)
        beyond = message.number + self.rng.choice([1_000, 100_000])
        return self.rng.choice(
            [
                encode_token(RUN + 1, 3, 5, 1, 1, room=code),
                encode_token(RUN, 200_000, 5, 1, 1, room=self.rng.choice([0, code])),
                encode_token(RUN, message.log.number, beyond, message.sent, 0, room=code),
            ]
        )

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

    # -- what arrives --------------------------------------------------------------------------------------

    def read(self, person: Person, most: int) -> None:
        for _ in range(min(most, len(person.way))):
            item = person.way.popleft()
            at = self.tick()
            getattr(self, f"on_{item.kind}")(person, item, at)

    def on_joined(self, person: Person, item: Item, at: int) -> None:
        stay = person.stays[item.room]
        stay.joined = at
        if stay.top <= stay.start:  # nothing so far that others had not had before it
            stay.start = self.seen_up_to[item.room]
        person.audit.joined(stay.member, at)

    def on_left(self, person: Person, item: Item, at: int) -> None:
        stay = person.stays[item.room]
        person.audit.left(person.subscriber, stay.member, at)
        self.end(person, stay, at, "left")

    def on_ack(self, person: Person, item: Item, at: int) -> None:
        message = item.message
        assert message is not None
        message.acked = at
        place = Position("e", message.offset) if self.ordered else None
        person.audit.acknowledge(message.log, message.number, at, place)

    def on_error(self, person: Person, item: Item, at: int) -> None:  # noqa: ARG002 - the interface
        message = item.message
        assert message is not None
        message.failed = True
        person.audit.fail(message.log, message.number)

    def on_resumed(self, person: Person, item: Item, at: int) -> None:
        stay = person.stays[item.room]
        stay.outages.append((stay.top, stay.lost or 0, at))
        stay.lost = None
        person.audit.resumed(person.subscriber, stay.member, at)

    def on_declared(self, person: Person, item: Item, at: int) -> None:
        old = person.stays[item.room]
        member = person.audit.not_recovered(person.subscriber, old.member, at)
        self.end(person, old, at, "declared")
        stay = Stay(
            person.name,
            item.room,
            member,
            joined=at,
            leaving=old.leaving,
            start=self.seen_up_to[item.room],
            since=item.offset,
        )
        person.stays[item.room] = stay
        self.stays.append(stay)

    def on_data(self, person: Person, item: Item, at: int) -> None:
        place = Position("e", item.offset) if self.ordered else None
        self._receive(person, item, place, at)
        message = item.message
        if message is None:
            self.named["phantom", person.name, item.room, ""] += 1
            return
        stay = person.stays.get(item.room)
        if item.token != message.token:
            # What is readable of the token tells which message it was, if those parts agree.
            agree = item.token[7:27] == message.token[7:27]
            name = message.name if agree or stay is not None else ""
            self.named["corrupt", person.name, item.room, name] += 1
            if stay is not None:
                stay.spoilt.add(message.name)
        elif stay is None:
            self.named["leak", person.name, item.room, message.name] += 1
        elif item.text != message.text:
            self.named["corrupt", person.name, item.room, message.name] += 1
            stay.spoilt.add(message.name)
        elif self.had(person, item.room, message):
            self.named["duplicate", person.name, item.room, message.name] += 1
        else:
            if message.first_seen is None:
                message.first_seen = at
            stay.seen.append((message, at))
            stay.top = max(stay.top, message.offset)
            self.seen_up_to[item.room] = max(self.seen_up_to[item.room], message.offset)
            self.counted += 1

    def _receive(self, person: Person, item: Item, place: Position | None, at: int) -> None:
        """Tell the audit of a frame: JSON, each one a little different, some with everything escaped."""
        written = json.dumps(item.text, ensure_ascii=self.rng.random() < 0.5)
        frame = b'{"n":%d,"text":%b}' % (self.now, written.encode("utf-8", "surrogatepass"))
        content = item.text if self.told else None
        where = frame.find(item.token)
        room = item.room if self.rooms_told else None
        person.audit.receive(
            Delivery(person.subscriber, room, item.token, place, at, frame, at=where, content=content)
        )

    def had(self, person: Person, room: str, message: Message) -> bool:
        return any(
            message is seen
            for stay in self.stays
            if stay.user == person.name and stay.room == room
            for seen, _ in stay.seen
        )

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Named, Account]:
        """Let everything arrive, then ask the audit. Returns the audit's names, and its account."""
        for person in self.people:
            for room in list(person.held):
                self.flush(person, room)
        for person in self.people:
            self.read(person, 10**9)
        self.now += 10 * PATIENCE
        for person in self.people:
            for stay in person.stays.values():
                if stay.lost is not None:
                    stay.ended, stay.end = stay.lost, "lost"
        account = self.judge()
        named: Named = Counter()
        for case in account.cases:
            message = ""
            if case.identity >= 0:
                log, number = split_id(case.identity)
                message = f"{log}/{number}"
            named[case.kind, case.user, case.room, message] += 1
        return named, account

    def judge(self) -> Account:
        """Exchange the ledgers, as the coordinator does, and let each worker judge; the accounts added."""
        ledgers = [export_ledger(audit) for audit in self.audits]
        total = Account()
        for audit in self.audits:
            import_ledgers(audit, [ledger for ledger in ledgers if ledger.worker != audit.worker])
            account = Judge(audit, self.now, patience=PATIENCE, self_echo=True).judge()
            total.cases += account.cases
            total.gap_declared += account.gap_declared
            total.indeterminate += account.indeterminate
            total.undelivered += account.undelivered
            total.not_counted += account.not_counted
        return total

    def by_hand(self) -> tuple[Named, Counter[str]]:
        """What should be named, and counts of what is only counted."""
        named, counts = Counter(self.named), Counter[str]()
        for stay in self.stays:
            self._judge_order(stay, named)
            for message, _ in stay.seen:
                if message.failed:
                    named["ghost", stay.user, stay.room, message.name] += 1
            self._judge_missing(stay, named, counts)
        spoilt = {(stay.user, stay.room, name) for stay in self.stays for name in stay.spoilt}
        spoilt -= {(stay.user, stay.room, message.name) for stay in self.stays for message, _ in stay.seen}
        lost = sum(count for (kind, *_), count in named.items() if kind in {"lost", "resume_gap"})
        counts["undelivered"] = lost + counts["gap_declared"] + len(spoilt)
        return named, counts

    def _judge_order(self, stay: Stay, named: Named) -> None:
        highest = 0
        for message, _ in stay.seen:
            if message.offset < highest:
                named["reordered", stay.user, stay.room, message.name] += 1
            highest = max(highest, message.offset)

    def _judge_missing(self, stay: Stay, named: Named, counts: Counter[str]) -> None:
        got = {id(message) for message, _ in stay.seen}
        for message in self.messages:
            if message.room != stay.room or id(message) in got or message.failed or stay.joined is None:
                continue
            if message.name in stay.spoilt:
                continue
            verdict = self._verdict(stay, message)
            if verdict in {"lost", "resume_gap"}:
                named[verdict, stay.user, stay.room, message.name] += 1
            elif verdict:
                counts[verdict] += 1

    def _verdict(self, stay: Stay, message: Message) -> str:
        assert stay.joined is not None
        sent = message.sent
        end = min(end for end in (stay.leaving, stay.ended, self.now) if end is not None)
        known = message.acked or message.first_seen
        if known is None:
            broke = message.log.ended
            known = sent + PATIENCE
            if broke is not None and broke < known:
                return "indeterminate" if sent < end else ""
        if sent >= end or known < stay.joined:
            return ""
        if sent < stay.joined or known > end:
            return "indeterminate"
        return self._why(stay, message)

    def _why(self, stay: Stay, message: Message) -> str:
        anybody = message.first_seen is not None
        placed = anybody or (self.ordered and message.acked is not None)
        behind = message.offset > stay.top
        if not placed:  # accepted before something that came had been sent
            latest = max((seen.sent for seen, _ in stay.seen), default=0)
            behind = message.acked is None or message.acked > latest
        if stay.end == "declared" and behind:
            return "gap_declared"
        if stay.end == "lost" and behind:
            return "indeterminate"
        for top, lost, back in stay.outages:
            known = placed or message.acked is not None
            if message.sent <= back and (message.offset > top if known else message.sent >= lost):
                return "resume_gap"
        return "lost"


def random_text(rng: Random) -> str:
    """A text of all kinds of characters; often none."""
    if rng.random() < 0.3:
        return ""
    return " " + "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 12)))


def alter(rng: Random, text: str) -> str:
    """Another text with the same token: cut, replaced, or with a character changed."""
    rest = text[LENGTH:]
    if not rest:
        return text
    at = rng.randrange(len(rest))
    other = rng.choice(
        [rest[:at], "*" * len(rest), rest[:at] + "x" + rest[at + 1 :], rest[:at] + "\\" + rest[at:]]
    )
    return text[:LENGTH] + ("" if other.startswith(rest) else other)


def damage(rng: Random, token: bytes) -> bytes:
    """The token with one of its characters changed, behind the mark."""
    at = rng.randrange(3, LENGTH - 1)
    return token[:at] + (b"A" if token[at : at + 1] != b"A" else b"B") + token[at + 1 :]


def play(world: World, steps: int) -> None:
    """Let the people do things at random."""
    for person in world.people:
        world.join(person, world.rng.choice(world.rooms))
        world.read(person, 9)
    for _ in range(steps):
        person = world.rng.choice(world.people)
        room = world.rng.choice(world.rooms)
        action = world.rng.random()
        if action < 0.45:
            world.send(person, room)
        elif action < 0.85:
            world.read(person, world.rng.randint(1, 6))
        elif action < 0.9:
            world.join(person, room)
        elif action < 0.93:
            world.leave(person, room)
        elif action < 0.96:
            world.kill(person)
        elif action < 0.995:
            world.come_back(person)
        else:
            world.give_up(person)
        if world.rng.random() < 0.05:
            world.sweep()


def other_loss(case: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    """The same loss, put down to a resume instead of to nothing, or the other way round."""
    return ({"lost": "resume_gap", "resume_gap": "lost"}.get(case[0], ""), *case[1:])
