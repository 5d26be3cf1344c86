"""Decides the verdict on a run from its accounts, the audit and the thresholds, with its reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtcli.load.results.accounts import Accounts, SendsAccount, Shortfall, UsersAccount
from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import AuditResult, ThresholdResult, Verdict
from rtcli.load.results.wording import causes, counted, role_presence
from rtcli.units import format_number

_Reason = tuple[Verdict, str]


def decide(
    audit: AuditResult | None,
    thresholds: Sequence[ThresholdResult],
    *,
    accounts: Accounts | None = None,
    interrupted_by: str = "",
    failures: Sequence[str] = (),
    worse: Sequence[str] = (),
    inconclusive: Sequence[str] = (),
) -> tuple[Verdict, list[str]]:
    """Decide the verdict; returns it with its reasons, worst first.

    From worst to best: broken, violation, threshold, worse, inconclusive (exit codes 1, 98, 99, 97, 96).
    `failures` are bugs of the load generator or of an adapter: what else went wrong may be their doing, so it
    is no reason. `worse` and `inconclusive` are reasons that the caller found: against the baseline, too
    little data, no means. The verdict on an interrupted run is that, unless the generator is broken, since
    its thresholds saw only a part; all reasons are still listed.
    """
    if failures:
        return Verdict.BROKEN, list(failures)
    reasons: list[_Reason] = []
    if accounts is not None:
        reasons += _account_reasons(accounts)
    if audit is not None and audit.found:
        reasons.append((Verdict.VIOLATION, _audit_reason(audit)))
    if audit is not None and accounts is not None and accounts.sends.unknown and "lost" in audit.failing:
        reasons.append((Verdict.INCONCLUSIVE, _unknown(accounts.sends)))
    reasons += _threshold_reasons(thresholds)
    reasons += [(Verdict.WORSE, text) for text in worse]
    reasons += [(Verdict.INCONCLUSIVE, text) for text in inconclusive]
    if not reasons:
        reasons += [(Verdict.INCONCLUSIVE, text) for text in _too_little(audit, accounts)]
    order = list(Verdict)
    reasons.sort(key=lambda reason: order.index(reason[0]))
    verdict = reasons[0][0] if reasons else Verdict.PASSED
    texts = [text for _, text in reasons]
    if interrupted_by and verdict is not Verdict.BROKEN:
        return Verdict.INTERRUPTED, [f"the run was interrupted by {interrupted_by} before its end", *texts]
    return verdict, texts


# -- the accounts ------------------------------------------------------------------------------------------


def _account_reasons(accounts: Accounts) -> Iterable[_Reason]:
    missing = accounts.shortfalls
    bugs = [item for item in missing if item.is_bug]
    lacking = [item for item in missing if item.by_generator and not item.is_bug]
    if bugs:
        yield Verdict.BROKEN, f"the load generator failed: {causes(bugs)}"
    for text in _unaccounted(accounts):
        yield Verdict.BROKEN, text
    yield from ((Verdict.VIOLATION, text) for text in _short(accounts))
    if lacking:
        yield Verdict.INCONCLUSIVE, f"the load generator lacked the means: {causes(lacking)}"


def _short(accounts: Accounts) -> Iterable[str]:
    """One sentence for each account that is short, other than by the load generator."""
    yield from _short_users(accounts.users)
    unsent = _not_by_generator(accounts.sends.shortfalls) if accounts.sends.judged else []
    if unsent:
        count = format_number(sum(item.count for item in unsent))
        yield f"{count} of {counted(accounts.sends.due, 'sends')} were not accepted: {causes(unsent)}"
    missed = _not_by_generator(accounts.deliveries.shortfalls) if accounts.deliveries.judged else []
    if missed:
        count = format_number(sum(item.count for item in missed))
        planned = counted(accounts.deliveries.planned, "deliveries")
        yield f"{count} of {planned} were missed by users who were absent: {causes(missed)}"


def _short_users(users: UsersAccount) -> Iterable[str]:
    if not users.judged:
        return
    missing = _not_by_generator(users.shortfalls)
    absent = [item for item in missing if item.kind == "absent"]
    if absent:
        count = format_number(sum(item.count for item in absent))
        yield f"{count} of {counted(users.planned, 'users')} were absent: {causes(absent)}"
    told = {item.role for item in absent}
    for role in users.roles:
        if role.is_short and role.role not in told:
            away = [item for item in missing if item.role == role.role]
            yield f"{role.role} was {role_presence(role)}{f': {causes(away)}' if away else ''}"


def _not_by_generator(shortfalls: Iterable[Shortfall]) -> list[Shortfall]:
    return [item for item in shortfalls if not item.allowed and not item.by_generator]


def _unaccounted(accounts: Accounts) -> Iterable[str]:
    """What is missing from an account although no shortfall covers it, which is a bug of ours."""
    users = accounts.users
    absent = sum(item.count for item in users.shortfalls if item.kind == "absent")
    if users.judged and users.planned - users.present > absent:
        rest = users.planned - users.present - absent
        yield f"the account of users does not add up: {counted(rest, 'users')} are in no group of it"
    rest = _unexplained(accounts.sends)
    if rest > 0:
        yield f"the account of sends does not add up: {counted(rest, 'sends')} are in no group of it"


def _unexplained(sends: SendsAccount) -> int:
    if not sends.judged:
        return 0
    return sends.due - sends.accepted - sends.excused - sum(item.count for item in sends.shortfalls)


def _unknown(sends: SendsAccount) -> str:
    unknown = f"{format_number(sends.unknown)} of {counted(sends.due, 'sends')}"
    return (
        f"nobody can tell whether {unknown} were accepted: without acknowledgement, they reached nobody, "
        "and who might have got them was joining, leaving or cut off"
    )


# -- the audit and the thresholds --------------------------------------------------------------------------


def _audit_reason(audit: AuditResult) -> str:
    kinds = [(audit.counts[kind], KINDS[kind].words) for kind in audit.failing if audit.counts.get(kind)]
    found = ", ".join(f"{format_number(count)} {kind}" for count, kind in kinds)
    expected = format_number(audit.counts.get("expected", 0))
    return f"the delivery audit found {found} in {expected} expected deliveries"


def _threshold_reasons(thresholds: Sequence[ThresholdResult]) -> Iterable[_Reason]:
    for result in thresholds:
        name = f"{result.selector}: {result.text}"
        if result.strict and result.outcome == "failed":
            yield Verdict.THRESHOLD, f"{name} failed: {result.reason}"
        elif result.strict and result.outcome == "inconclusive":
            yield Verdict.INCONCLUSIVE, f"{name}: {result.reason}"


def wants_messages(accounts: Accounts | None) -> bool:
    """Whether a run without messages tells nothing: its scenario sends some, and does not leave it open."""
    if accounts is None:
        return True
    sends = accounts.sends
    return sends.planned and (sends.due > 0 or sends.judged)


def _too_little(audit: AuditResult | None, accounts: Accounts | None) -> Iterable[str]:
    """Why messages tell nothing, although the scenario sends some and wants them judged."""
    if not wants_messages(accounts):
        return
    if accounts is not None and not accounts.sends.due:
        yield "no message was due, although the scenario sends some"
    elif audit is not None and audit.delivery != "none" and not audit.counts.get("expected"):
        yield "nobody was expected to get a message, so the delivery audit shows nothing"
