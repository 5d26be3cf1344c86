"""Makes the result of a run from what was measured: counts, thresholds, timeline and verdict. No I/O."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence

from rtcli._version import __version__
from rtcli.load.accounts.doubts import settle_doubts
from rtcli.load.accounts.sends import WorkerSends
from rtcli.load.accounts.sends_account import RunSends
from rtcli.load.accounts.users_account import RunAttendance
from rtcli.load.audit.evidence import Group, GroupKey, group_texts
from rtcli.load.core.lost_workers import attendance_of_lost, sends_of_lost
from rtcli.load.core.schedule import phase_bounds
from rtcli.load.metrics.histogram import bucket_index
from rtcli.load.metrics.names import METRICS
from rtcli.load.metrics.run_store import RunStore
from rtcli.load.results.accounts import Accounts, SendsAccount
from rtcli.load.results.kinds import failing_kinds
from rtcli.load.results.model import (
    COUNTS,
    AuditResult,
    Generator,
    RunResult,
    ThresholdResult,
    Violation,
)
from rtcli.load.results.quotas import choose
from rtcli.load.results.thresholds import evaluate
from rtcli.load.results.verdict import decide
from rtcli.load.run.coordinator import RunState
from rtcli.load.run.health.seconds import lag_limit, stall_limit
from rtcli.load.run.metric_summaries import metric_summaries, spectra
from rtcli.load.run.timeline import timeline
from rtcli.load.scenario.model import ThresholdSpec


def make_result(state: RunState) -> RunResult:
    """The result of a run that is over."""
    state.health.finish()
    state.store.fold(math.inf)
    scenario = state.spec.scenario
    elapsed = min(state.ended if state.ended is not None else state.now(), scenario.duration)
    phases = [(phase.name, state.base + round(end * 1e6)) for phase, _, end in phase_bounds(scenario.phases)]
    settled = settle_doubts(state.doubts, state.accounts, phases, state.base)
    known = [*state.sends.values(), settled.sends, *_lost_sends(state, elapsed)]
    sends = RunSends(scenario, known, state.base, unknown=settled.unknown)
    audit = _audit(state, sends.evidence())
    accounts = _accounts(state, audit, sends.account(), elapsed)
    _count_shortfalls(state.store, accounts)
    thresholds = _thresholds(state, elapsed)
    verdict, reasons = decide(
        audit,
        thresholds,
        accounts=accounts,
        interrupted_by=state.interrupted_by,
        failures=_failures(state, bugs=True),
        inconclusive=_failures(state, bugs=False),
    )
    seconds = range(math.ceil(elapsed))
    return RunResult(
        scenario=scenario.name,
        description=scenario.description,
        digest=scenario.digest,
        seed=scenario.seed,
        target=state.spec.endpoint.base,
        protocol=scenario.target.protocol,
        started=state.spec.unix_start,
        duration=round(elapsed, 3),
        verdict=verdict,
        reasons=reasons,
        thresholds=thresholds,
        audit=audit,
        accounts=accounts,
        metrics=metric_summaries(state, elapsed),
        generator=_generator(state, seconds),
        environment=environment(),
        timeline=timeline(state, seconds),
        spectrum=spectra(state.store),
        scenario_path=scenario.path,
        scenario_text=scenario.text,
        phases=[(phase.name, phase.duration) for phase in scenario.phases],
        notes=_notes(state),
        log=sorted(state.log, key=lambda line: line.time),
        interrupted_by=state.interrupted_by,
    )


def _failures(state: RunState, *, bugs: bool) -> list[str]:
    """The failures of the generator itself, equal ones of several workers once."""
    return list(
        {
            failure.text: str(failure) for failure in reversed(state.failures) if failure.is_bug is bugs
        }.values()
    )[::-1]


def environment() -> dict[str, str]:
    """The versions and the machine that the generator ran on."""
    return {
        "rtcli": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": str(os.cpu_count() or 0),
    }


# -- the accounts --------------------------------------------------------------------------------------------


def _accounts(state: RunState, audit: AuditResult, sends: SendsAccount, elapsed: float) -> Accounts:
    scenario, workers = state.spec.scenario, state.spec.workers
    lost = [failure for failure in state.failures if failure.worker in state.gone]
    unknown = [attendance_of_lost(scenario, failure, workers, elapsed, state.base) for failure in lost]
    cut_short = bool(state.interrupted_by)
    attendance = RunAttendance(
        scenario, [*state.attendance.values(), *unknown], state.base, cut_short=cut_short
    )
    for role, count in attendance.unresolved.items():
        state.problems[f"{role}: gone too soon to tell whether it would be let in; not counted"] = count
    expected, delivered = audit.counts["expected"], audit.counts["delivered"]
    return Accounts(
        users=attendance.users(),
        sends=sends,
        deliveries=attendance.deliveries(
            expected=expected, delivered=delivered, indeterminate=audit.counts["indeterminate"]
        ),
    )


def _lost_sends(state: RunState, elapsed: float) -> list[WorkerSends]:
    """The sends of workers that have ended without telling of them, by plan."""
    scenario, workers = state.spec.scenario, state.spec.workers
    return [
        sends_of_lost(
            scenario, failure, workers, elapsed, state.base, accepted=state.accepted.get(failure.worker, {})
        )
        for failure in state.failures
        if failure.worker in state.gone and failure.worker not in state.sends
    ]


def _count_shortfalls(store: RunStore, accounts: Accounts) -> None:
    """Count as metrics what is missing and not allowed, at the time when it began, for thresholds."""
    for item in accounts.shortfalls:
        if item.kind in METRICS and not item.by_generator:
            tags = {"role": item.role, "room": item.room} if item.room else {"role": item.role}
            store.recorder(item.kind, **tags).add(store.bins.at(item.first or 0.0), item.count)


# -- the audit ---------------------------------------------------------------------------------------------


def _audit(state: RunState, unsent: Sequence[Violation]) -> AuditResult:
    """Add up the workers' accounts, and count them as metrics, too, for thresholds."""
    rules, store = state.spec.scenario.audit, state.store
    counts = dict.fromkeys(COUNTS, 0)
    groups: dict[GroupKey, Group] = {}
    absent = [violation for worker in state.attendance.values() for violation in worker.violations]
    violations, undelivered, not_counted = [*absent, *unsent], 0, 0
    for account in state.accounts:
        for kind, count in account.counts.items():
            if kind in counts:
                counts[kind] += count
        undelivered += account.counts.get("undelivered", 0)
        not_counted += account.not_counted
        violations += account.violations
        for key, group in account.groups.items():
            groups.setdefault(key, Group()).add(group)
        for (kind, role, room, bin_key), count in account.times.items():
            tags = {"role": role, "room": room} if room else {"role": role}
            store.recorder(kind, **tags).add(bin_key, count)
    arrived = store.trend("fanout_latency", {})
    counts["delivered"] = max(0, (arrived.count if arrived is not None else 0) - not_counted)
    counts["expected"] = counts["delivered"] + undelivered
    counts["late"] = store.count_above("fanout_latency", bucket_index(round(rules.late_after * 1e6)), "late")
    _count_rest(store, counts, undelivered)
    subscribers = sum(account.subscribers for account in state.accounts)
    return AuditResult(
        delivery=rules.delivery,
        order=rules.order,
        text=rules.text,
        counts=counts,
        failing=failing_kinds(rules),
        subscribers=subscribers,
        violations=choose(violations, rules.evidence),
        groups=group_texts(groups, subscribers),
    )


def _count_rest(store: RunStore, counts: Mapping[str, int], undelivered: int) -> None:
    for kind in ("gap_declared", "indeterminate"):
        if counts[kind]:
            store.recorder(kind).add(0, counts[kind])
    if counts["expected"]:
        ratio = store.recorder("delivery_ratio").counts
        ratio[1] += counts["delivered"]
        ratio[0] += undelivered


# -- thresholds ----------------------------------------------------------------------------------------------


def _thresholds(state: RunState, elapsed: float) -> list[ThresholdResult]:
    def clean(spec: ThresholdSpec) -> RunStore | None:
        limit = lag_limit(spec)
        level = 0 if limit is None else state.health.level_of(limit)
        return state.store.within(level) if state.health.worst > level else None

    return evaluate(state.spec.scenario, state.store, elapsed, clean=clean, aborted_by=state.aborted_by)


# -- the generator -------------------------------------------------------------------------------------------


def _generator(state: RunState, seconds: range) -> Generator:
    lag, loop = (state.store.trend(name, {}) for name in ("schedule_lag", "loop_lag"))
    return Generator(
        workers=state.spec.workers,
        cpu_share=max((share.average for share in state.cpu.values()), default=0.0),
        rss=state.peak_rss,
        users=state.peak_users,
        stalls=state.health.stalls,
        stall_s=stall_limit(state.spec.scenario.thresholds),
        dropped_sends=int(state.store.count("dropped_sends", {}) or 0),
        lag_p99=lag.percentile(99) if lag is not None else None,
        loop_lag_p99=loop.percentile(99) if loop is not None else None,
        stolen_s=state.health.stolen,
        throttled_s=state.health.throttled,
        flagged_seconds=len(state.health.flagged(seconds)),
    )


def _notes(state: RunState) -> list[str]:
    if state.logged > len(state.log):
        state.problems["line of the log, of which only the latest are kept"] = state.logged
    worst = sorted(state.problems.items(), key=lambda item: -item[1])[:20]
    return [f"{count} × {text}" for text, count in worst]
