"""What the audit is compared with: plain book-keeping, from complete lists of who received what and when."""

from __future__ import annotations

from collections import Counter

from tests.support.load.audit_world.records import PATIENCE, Message, Named, Stay
from tests.support.load.audit_world.world import World


def by_hand(world: World) -> tuple[Named, Counter[str]]:
    """What should be named, and counts of what is only counted."""
    named, counts = Counter(world.named), Counter[str]()
    for stay in world.stays:
        _judge_order(stay, named)
        for message, _ in stay.seen:
            if message.failed:
                named["ghost", stay.user, stay.room, message.name] += 1
        _judge_missing(world, stay, named, counts)
    spoilt = {(stay.user, stay.room, name) for stay in world.stays for name in stay.spoilt}
    spoilt -= {(stay.user, stay.room, message.name) for stay in world.stays for message, _ in stay.seen}
    lost = sum(count for (kind, *_), count in named.items() if kind in {"lost", "resume_gap"})
    counts["undelivered"] = lost + counts["gap_declared"] + len(spoilt)
    return named, counts


def _judge_order(stay: Stay, named: Named) -> None:
    highest = 0
    for message, _ in stay.seen:
        if message.offset < highest:
            named["reordered", stay.user, stay.room, message.name] += 1
        highest = max(highest, message.offset)


def _judge_missing(world: World, stay: Stay, named: Named, counts: Counter[str]) -> None:
    got = {id(message) for message, _ in stay.seen}
    for message in world.messages:
        if message.room != stay.room or id(message) in got or message.failed or stay.joined is None:
            continue
        if message.name in stay.spoilt:
            continue
        verdict = _verdict(world, stay, message)
        if verdict in {"lost", "resume_gap"}:
            named[verdict, stay.user, stay.room, message.name] += 1
        elif verdict:
            counts[verdict] += 1


def _verdict(world: World, stay: Stay, message: Message) -> str:
    assert stay.joined is not None
    sent = message.sent
    end = min(end for end in (stay.leaving, stay.ended, world.now) if end is not None)
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
    return _why(world, stay, message)


def _why(world: World, stay: Stay, message: Message) -> str:
    anybody = message.first_seen is not None
    placed = anybody or (world.ordered and message.acked is not None)
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


def other_loss(case: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    """The same loss, put down to a resume instead of to nothing, or the other way round."""
    return ({"lost": "resume_gap", "resume_gap": "lost"}.get(case[0], ""), *case[1:])
