"""The verdict in one line: a word, its colour, and a sentence that names the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rtcli.load.results.accounts import Accounts, Shortfall
from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import AuditResult, RunResult, Verdict
from rtcli.load.results.wording import counted, main_cause, role_presence
from rtcli.units import format_number

HEADLINES = {
    Verdict.PASSED: ("PASSED", "green"),
    Verdict.BROKEN: ("LOAD GENERATOR FAILED", "red"),
    Verdict.VIOLATION: ("FAILED", "red"),
    Verdict.THRESHOLD: ("THRESHOLD FAILED", "red"),
    Verdict.WORSE: ("WORSE THAN THE BASELINE", "red"),
    Verdict.INCONCLUSIVE: ("INCONCLUSIVE", "yellow"),
    Verdict.INTERRUPTED: ("INTERRUPTED", "yellow"),
}
_ALWAYS = {
    Verdict.BROKEN: "a bug of rtcli, an adapter or the scenario; this says nothing about the server.",
    Verdict.WORSE: "it was better before.",
    Verdict.INTERRUPTED: "this is what was seen until then.",
}
_MISSING = ("lost", "resume_gap", "gap_declared", "missed")
_MAX_CODES = 3
_ONCE = {"exactly-once": "once", "at-least-once": "at least once", "at-most-once": "at most once"}


def sentence(result: RunResult) -> str:
    """The verdict as a clause, to follow the scenario's name and a colon."""
    by_verdict: Mapping[Verdict, Callable[[RunResult], str]] = {
        Verdict.PASSED: _passed,
        Verdict.VIOLATION: _violation,
        Verdict.THRESHOLD: _threshold,
        Verdict.INCONCLUSIVE: _inconclusive,
    }
    found = by_verdict.get(result.verdict)
    return _ALWAYS[result.verdict] if found is None else found(result)


# -- passed ------------------------------------------------------------------------------------------------


def _passed(result: RunResult) -> str:
    accounts = result.accounts
    if accounts is None:
        return "every threshold holds; it was not counted who was there and what was sent."
    parts = [_whole(result, accounts)]
    unknown = accounts.deliveries.indeterminate if accounts.deliveries.judged else 0
    if unknown:
        parts.append(f"{counted(unknown, 'deliveries')} cannot be told")
    interrupted = accounts.users.interrupted
    if interrupted:
        parts.append(f"{counted(interrupted, 'users')} lost the connection and came back")
    unjudged = _unjudged(accounts)
    if unjudged:
        parts.append(f"not judged: {', '.join(unjudged)}")
    return "; ".join(parts) + "."


def _whole(result: RunResult, accounts: Accounts) -> str:
    """What is whole, and no more than that."""
    users, sends, deliveries = accounts.users, accounts.sends, accounts.deliveries
    if not (users.judged or sends.judged or deliveries.judged):
        return "every threshold holds"
    exact = (
        (not users.judged or users.present == users.planned)
        and (not sends.judged or sends.accepted + sends.excused == sends.due)
        and (not deliveries.judged or deliveries.delivered == deliveries.planned)
    )
    if not exact:
        return "nothing is missing but what the scenario allows"
    clauses = ["everybody was there"] if users.judged else []
    if not sends.planned:
        return clauses[0] if clauses else "every threshold holds"
    if sends.judged and not deliveries.judged:
        clauses.append("everything was sent")
    if deliveries.judged:
        subject = "everything" if sends.judged else "what was sent"
        if deliveries.indeterminate:
            subject = "all that can be told"
        clauses.append(f"{subject} arrived{_manner(result.audit)}")
    return ", and ".join(clauses)


def _manner(audit: AuditResult | None) -> str:
    """`, once and in order`, as far as that was judged."""
    if audit is None or audit.delivery == "none":
        return ""
    ordered = " and in order" if audit.order != "none" else ""
    texts = "; texts were not compared" if audit.text == "token" else ""
    return f", {_ONCE[audit.delivery]}{ordered}{texts}"


def _unjudged(accounts: Accounts) -> list[str]:
    judged = {
        "users": accounts.users.judged,
        "messages": accounts.sends.judged or not accounts.sends.planned,
        "deliveries": accounts.deliveries.judged or not accounts.sends.planned,
    }
    return [name for name, is_judged in judged.items() if not is_judged]


# -- not passed --------------------------------------------------------------------------------------------


def _violation(result: RunResult) -> str:
    clauses = [] if result.accounts is None else [*_short_accounts(result.accounts)]
    clauses += _audited(result)
    return f"{', '.join(clauses) or 'messages did not reach everyone as they should'}."


def _short_accounts(accounts: Accounts) -> Iterable[str]:
    missing = [item for item in accounts.shortfalls if not item.by_generator]
    absent = [item for item in missing if item.kind == "absent"]
    users, sends = accounts.users, accounts.sends
    if absent and not users.present:
        was_there = any(role.present_s for role in users.roles)
        yield f"{'nobody was there in the end' if was_there else 'nobody got in'} ({main_cause(absent)})"
    elif absent:
        yield f"{_count(absent)} of {counted(users.planned, 'users')} absent ({main_cause(absent)})"
    elif users.judged and any(role.is_short for role in users.roles):
        yield next(f"{role.role} {role_presence(role)}" for role in users.roles if role.is_short)
    unsent = [item for item in missing if item.kind == "unsent"]
    if unsent:
        yield f"{_count(unsent)} of {counted(sends.due, 'sends')} {_unsent(unsent, is_told=bool(absent))}"


def _unsent(unsent: Sequence[Shortfall], *, is_told: bool) -> str:
    """What happened to messages. `is_told`: the cause need not be named, since users were absent, too."""
    if all(item.outcome == "refused" for item in unsent):
        codes = dict.fromkeys(item.code for item in unsent)
        return f"refused ({', '.join(codes) if len(codes) <= _MAX_CODES else 'several codes'})"
    return "not accepted" if is_told else f"not accepted ({main_cause(unsent)})"


def _count(shortfalls: Iterable[Shortfall]) -> str:
    return format_number(sum(item.count for item in shortfalls))


def _audited(result: RunResult) -> Iterable[str]:
    counts = {kind: count for kind, count in result.violation_counts.items() if kind in result.judged_kinds}
    missing = sum(counts.get(kind, 0) for kind in _MISSING)
    if missing:
        yield f"{counted(missing, 'deliveries')} missing"
    for kind, count in counts.items():
        if count and kind not in _MISSING and KINDS[kind].account == "deliveries":
            yield f"{format_number(count)} {KINDS[kind].words}"


def _threshold(result: RunResult) -> str:
    failed = [item for item in result.thresholds if item.strict and item.outcome == "failed"]
    if failed and all(item.value is None for item in failed):
        return f"there is no data for {', '.join(dict.fromkeys(item.selector for item in failed))}."
    return "it is not good enough."


def _inconclusive(result: RunResult) -> str:
    if any(item.strict and item.outcome == "inconclusive" for item in result.thresholds):
        return "the load generator could not keep up: this says little about the server."
    own = [] if result.accounts is None else [it for it in result.accounts.shortfalls if it.by_generator]
    if own:
        return f"the load generator lacked the means: {main_cause(own)}."
    return f"{result.reasons[0]}." if result.reasons else "there is too little to tell."
