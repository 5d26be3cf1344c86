"""The three accounts in words: the line that every output begins with, and what is missing, by cause."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rtcli.load.metrics.formatting import format_seconds
from rtcli.load.results.accounts import (
    MAX_WHO,
    Accounts,
    DeliveriesAccount,
    RoleAttendance,
    SendsAccount,
    Shortfall,
    UsersAccount,
)
from rtcli.load.results.kinds import KINDS, UNJUDGED, AccountName
from rtcli.load.results.model import Generator, Violation
from rtcli.units import format_number

_MAX_CAUSES = 4
_NOUNS = {
    "users": ("user", "users"),
    "sends": ("message", "messages"),
    "deliveries": ("delivery", "deliveries"),
    "subscribers": ("subscriber", "subscribers"),
    "workers": ("worker", "workers"),
    "stalls": ("stall", "stalls"),
    "groups": ("group", "groups"),
}


def counted(count: int, account: str) -> str:
    """`1 user`, `1 178 deliveries`. `account` is the name of one, or another word of `_NOUNS`."""
    return f"{format_number(count)} {_NOUNS[account][count != 1]}"


def accounts_line(accounts: Accounts) -> str:
    """`27 of 27 users · 45 of 45 messages · 1 178 of 1 178 deliveries`, with what must be said of each."""
    parts = [users_figures(accounts.users), sends_figures(accounts.sends)]
    if accounts.sends.planned:
        parts.append(deliveries_figures(accounts.deliveries))
    return " · ".join(parts)


def users_figures(users: UsersAccount) -> str:
    """`27 of 27 users`."""
    if not (users.judged or users.planned):
        return "users not judged"
    interrupted = f"{format_number(users.interrupted)} interrupted" if users.interrupted else ""
    remarks = _remarks(users.shortfalls, judged=users.judged, more=[interrupted])
    return _of(users.present, users.planned, "users") + remarks


def users_details(users: UsersAccount) -> str:
    """`27 planned, 27 present until the end, for 100 % of their time`."""
    planned_s, present_s = (
        sum(role.planned_s for role in users.roles),
        sum(role.present_s for role in users.roles),
    )
    parts = [f"{format_number(users.planned)} planned", f"{format_number(users.present)} present to the end"]
    if users.interrupted:
        parts.append(f"{format_number(users.interrupted)} interrupted")
    if planned_s > 0:
        parts.append(f"{floor_percent(present_s / planned_s)} of their time")
    return ", ".join(parts) + ("" if users.judged else _unjudged("users"))


def sends_figures(sends: SendsAccount) -> str:
    """`45 of 45 messages`."""
    if not sends.planned:
        return "no messages planned"
    if not (sends.judged or sends.due):
        return "messages not judged"
    excused = f"{format_number(sends.excused)} excused" if sends.excused else ""
    unknown = f"{format_number(sends.unconfirmed)} without acknowledgement" if sends.unconfirmed else ""
    remarks = _remarks(sends.shortfalls, judged=sends.judged, more=[excused, unknown])
    return _of(sends.accepted, sends.due, "sends") + remarks


def sends_details(sends: SendsAccount) -> str:
    """`45 due, 45 sent, 10 accepted, 35 refused (rate_limited 35)`."""
    unconfirmed = (
        f" ({format_number(sends.unconfirmed)} without acknowledgement)" if sends.unconfirmed else ""
    )
    parts = [
        f"{format_number(sends.due)} due",
        f"{format_number(sends.sent)} sent",
        f"{format_number(sends.accepted)} accepted{unconfirmed}",
    ]
    refused = sum(sends.refused.values())
    if refused:
        by_code = ", ".join(f"{code} {format_number(count)}" for code, count in sorted(sends.refused.items()))
        parts.append(f"{format_number(refused)} refused ({by_code})")
    rest = (
        (sends.unanswered, "unanswered"),
        (sends.not_sendable, "not sendable"),
        (sends.excused, "excused"),
    )
    parts += [f"{format_number(count)} {what}" for count, what in rest if count]
    return ", ".join(parts) + ("" if sends.judged else _unjudged("sends"))


def deliveries_figures(deliveries: DeliveriesAccount) -> str:
    """`1 178 of 1 178 deliveries`."""
    if not (deliveries.judged or deliveries.planned):
        return "deliveries not judged"
    unknown = f"{format_number(deliveries.indeterminate)} cannot be told" if deliveries.indeterminate else ""
    remarks = _remarks(deliveries.shortfalls, judged=deliveries.judged, more=[unknown])
    return _of(deliveries.delivered, deliveries.planned, "deliveries") + remarks


def _of(actual: int, planned: int, account: str) -> str:
    return f"{format_number(actual)} of {counted(planned, account)}"


def _remarks(shortfalls: Iterable[Shortfall], *, judged: bool, more: Sequence[str] = ()) -> str:
    allowed = sum(item.count for item in shortfalls if item.allowed and item.kind != "interrupted")
    remarks = [f"{format_number(allowed)} allowed" if allowed and judged else "", *more]
    remarks.append("" if judged else "not judged")
    said = ", ".join(remark for remark in remarks if remark)
    return f" ({said})" if said else ""


def _unjudged(account: AccountName) -> str:
    return f" (not judged: {UNJUDGED[account]})"


def causes(shortfalls: Iterable[Shortfall]) -> str:
    """The causes with their counts, the most frequent first: `no answer (4), refused: rate_limited (2)`."""
    ordered = _by_cause(shortfalls)
    said = [f"{cause} ({format_number(count)})" for cause, count in ordered[:_MAX_CAUSES]]
    if len(ordered) > _MAX_CAUSES:
        rest = sum(count for _, count in ordered[_MAX_CAUSES:])
        said.append(f"other causes ({format_number(rest)})")
    return ", ".join(said)


def main_cause(shortfalls: Iterable[Shortfall]) -> str:
    """How the most frequent cause began; `and other causes` when there are more."""
    counts = _by_cause(shortfalls)
    more = " and other causes" if len(counts) > 1 else ""
    return f"{counts[0][0].partition(';')[0]}{more}" if counts else "unknown"


def _by_cause(shortfalls: Iterable[Shortfall]) -> list[tuple[str, int]]:
    """The causes with their counts, the most frequent first."""
    counts: dict[str, int] = {}
    for item in shortfalls:
        cause = item.cause or item.code or "unknown"
        counts[cause] = counts.get(cause, 0) + item.count
    return sorted(counts.items(), key=lambda pair: -pair[1])


def shortfall_title(item: Shortfall) -> str:
    """What is missing, in short: `16 users absent`."""
    account = "users" if item.kind == "interrupted" else KINDS[item.kind].account
    return f"{counted(item.count, account)} {item.kind}"


def shortfall_why(item: Shortfall) -> str:
    """The cause with its code: `the server answered 503 to the handshake (http_503)`."""
    if not item.cause or item.cause == item.code:
        return item.code or "unknown"
    return item.cause if not item.code or item.code in item.cause else f"{item.cause} ({item.code})"


def shortfall_when(item: Shortfall) -> str:
    """When, in which phase, and how long: `from 0.12 s to 3.4 s, phase ramp, 12 s altogether`."""
    parts = []
    if item.first is not None:
        moment = format_seconds(item.first)
        last = moment if item.last is None else format_seconds(item.last)
        parts.append(f"at {moment}" if moment == last else f"from {moment} to {last}")
    if item.phase:
        parts.append(f"phase {item.phase}")
    if item.user_seconds:
        parts.append(f"{format_seconds(item.user_seconds)} altogether")
    return ", ".join(parts)


def shortfall_who(item: Shortfall) -> str:
    """Some of the users, or their role: `reader 3, reader 7 and others`."""
    if not item.who:
        return item.role
    named = ", ".join(item.who)
    if item.kind in {"absent", "interrupted"}:  # the count is of users
        rest = item.count - len(item.who)
        return f"{named} and {format_number(rest)} more" if rest > 0 else named
    return f"{named} and others" if len(item.who) >= MAX_WHO else named


def shortfall_place(item: Shortfall) -> str:
    """When, where and who, as one clause."""
    where = f"room {item.room}" if item.room else ""
    note = "the scenario allows it" if item.allowed else "not the server's fault" if item.by_generator else ""
    said = ", ".join(part for part in (shortfall_when(item), where) if part)
    return "; ".join(part for part in (said, shortfall_who(item), note) if part)


def shortfall_sentence(item: Shortfall) -> str:
    """The whole: how many, of which role, why, when and who."""
    return f"{shortfall_title(item)} ({item.role}): {shortfall_why(item)}; {shortfall_place(item)}"


def role_presence(role: RoleAttendance) -> str:
    """`present for 93.1 % of its time, 99 % required`."""
    return f"present for {role_time(role)}"


def role_time(role: RoleAttendance) -> str:
    """`93.1 % of its time, 99 % required`."""
    if role.planned_s <= 0:
        return "no time of it can be judged"
    needed = "not judged" if role.required is None else f"{role.required * 100:g} % required"
    return f"{floor_percent(role.share)} of its time, {needed}"


def floor_percent(share: float) -> str:
    """A share as a percentage, rounded down, so that 99.99 % of something is never called all of it."""
    return f"{math.floor(share * 10_000) / 100:g} %"


def violation_sentence(violation: Violation) -> str:
    """Which message or user, where, and what happened."""
    known = KINDS.get(violation.kind)
    meaning = violation.kind if known is None else known.meaning
    where = f" in {violation.room}" if violation.room else ""
    if not violation.publisher:
        return f"{violation.subscriber}{where} {meaning}"
    if not violation.subscriber:
        message = violation.message if violation.number else f"a message of {violation.publisher}"
        return f"{message}{where} {meaning}"
    return f"{violation.message}{where}: {violation.subscriber} {meaning}"


def violation_facts(violation: Violation) -> str:
    """When, why, and what else is known, as one clause; empty when nothing is."""
    moments = (
        ("sent", violation.sent),
        ("acknowledged", violation.acknowledged),
        ("received", violation.received),
    )
    times = ", ".join(f"{what} at {moment:.3f} s" for what, moment in moments if moment is not None)
    return "; ".join(part for part in (times, violation.cause, violation.detail) if part)


def taken_time(own: Generator, duration: float) -> str:
    """The processor time that the load generator did not get; "" below a hundredth of the run."""
    parts = [
        (own.stolen_s, "taken by the hypervisor"),
        (own.throttled_s, "held back by a quota of its control group"),
    ]
    return ", ".join(f"{format_seconds(time)} {what}" for time, what in parts if time >= 0.01 * duration > 0)
