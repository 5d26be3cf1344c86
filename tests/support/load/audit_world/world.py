"""A whole world: the users read what is on its way to them, and at the end the audit judges."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

from rtcli.load.audit.judgement.judge import Account, Judge
from rtcli.load.audit.ledger_exchange import export_ledger, import_ledgers
from rtcli.load.audit.records import Delivery
from rtcli.load.audit.sender_log import split_id
from rtcli.protocol.position import Position
from tests.support.load.audit_world.deployment import Deployment
from tests.support.load.audit_world.records import PATIENCE, Item, Message, Named, Person, Stay


class World(Deployment):
    """A deployment whose users read. Every step tells the audit of it."""

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


def random_world(
    seed: int, *, ordered: bool, faults: dict[str, float], rooms_told: bool = True, workers: int = 1
) -> World:
    """A world of this seed that was played. What happens in it does not depend on the number of workers."""
    size = Random(seed)
    world = World(
        seed,
        ordered=ordered,
        users=size.randint(2, 7),
        rooms=size.randint(1, 3),
        faults=faults,
        told=size.random() < 0.5,
        rooms_told=rooms_told,
        workers=workers,
    )
    play(world, size.randint(20, 250))
    return world
