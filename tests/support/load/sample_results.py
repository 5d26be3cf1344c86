"""Results as the engine would make them, for the tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace

from rtcli.load.metrics.names import Kind, Unit
from rtcli.load.results.accounts import (
    Accounts,
    DeliveriesAccount,
    PhaseAttendance,
    RoleAttendance,
    SendsAccount,
    Shortfall,
    UsersAccount,
)
from rtcli.load.results.kinds import VIOLATIONS
from rtcli.load.results.model import (
    COUNTS,
    AuditResult,
    FrameEvidence,
    Generator,
    MetricSummary,
    RunResult,
    Second,
    ThresholdResult,
    Violation,
    ViolationGroup,
)
from rtcli.load.results.verdict import decide

EVIL = "<b>&\x1b[31m\u202e\x00\"'"


def threshold(outcome: str = "passed", **values: object) -> ThresholdResult:
    base = ThresholdResult(
        "fanout_latency{phase:storm}", "p(99) < 250ms", "passed", 0.12, 0.25, Unit.SECONDS, line=31, column=9
    )
    return replace(base, outcome=outcome, **values)  # type: ignore[arg-type]


def audit(violations: tuple[Violation, ...] = (), **counts: int) -> AuditResult:
    return AuditResult(
        "exactly-once",
        "per-room",
        {
            **dict.fromkeys(COUNTS, 0),
            "sent": 10,
            "acknowledged": 10,
            "expected": 100,
            "delivered": 100,
            **counts,
        },
        failing=(*VIOLATIONS, "gap_declared"),
        subscribers=10,
        violations=violations,
        groups=[
            ViolationGroup("lost", 37, "all in lobby, within 420 ms of a resume", ("lobby",), 3, 1.0, 1.42)
        ]
        if violations
        else (),
    )


LOSS = Violation(
    "lost",
    "lobby",
    "writer 3",
    41837,
    "reader 12",
    connection="c-9",
    sent=12.345,
    acknowledged=12.35,
    cause="within 420 ms of a resume",
    detail=f"the frame before it: {EVIL}",
    frames=(
        FrameEvidence(12.1, "in", f'{{"type":"new_message","x":"{EVIL}"}}'),
        FrameEvidence(12.2, "note", "resumed"),
    ),
)


ABSENT = Shortfall(
    "absent",
    "reader",
    "http_503",
    "the server answered 503 to the handshake",
    6,
    phase="steady",
    who=("reader 1", "reader 2", "reader 3", "reader 4", "reader 5"),
    first=0.12,
    last=3.4,
    user_seconds=66.0,
)
INTERRUPTED = Shortfall(
    "interrupted",
    "reader",
    "close_1006",
    "the connection broke off (1006)",
    2,
    phase="storm",
    who=("reader 7", "reader 8"),
    first=6.2,
    last=7.1,
    user_seconds=0.05,
    allowed=True,
)
UNSENT = Shortfall(
    "unsent",
    "writer",
    "rate_limited",
    "refused: rate_limited",
    7,
    room="lobby",
    phase="storm",
    who=("writer 1", "writer 2"),
    first=6.0,
    last=11.5,
    outcome="refused",
)
MISSED = Shortfall(
    "missed", "reader", "http_503", "the server answered 503 to the handshake", 60, room="lobby", first=0.5
)
PORTS = Shortfall(
    "absent", "reader", "generator_ports", "the load generator has no ports left", 3, who=("reader 9",)
)


def users_account(*shortfalls: Shortfall, present: int = 10, present_s: float = 120.0) -> UsersAccount:
    """8 readers and 2 writers, for 12 seconds."""
    away = 10 - present
    interrupted = sum(item.count for item in shortfalls if item.kind == "interrupted")
    lost = 120.0 - present_s
    readers = RoleAttendance(
        "reader",
        8,
        8 - away,
        interrupted,
        96.0,
        96.0 - lost,
        phases=(
            PhaseAttendance("steady", 48.0, 48.0 - lost / 2),
            PhaseAttendance("storm", 48.0, 48.0 - lost / 2),
        ),
    )
    return UsersAccount((readers, RoleAttendance("writer", 2, 2, 0, 24.0, 24.0)), shortfalls)


def accounts(
    users: UsersAccount | None = None,
    sends: SendsAccount | None = None,
    deliveries: DeliveriesAccount | None = None,
) -> Accounts:
    """All three, whole where nothing else is given."""
    return Accounts(
        users or users_account(),
        sends or SendsAccount(10, 10, 10),
        deliveries or DeliveriesAccount(100, 100),
    )


def result(
    *,
    audited: AuditResult | None = None,
    thresholds: tuple[ThresholdResult, ...] = (),
    accounted: Accounts | None = None,
    **values: object,
) -> RunResult:
    """A run of 12 seconds with a bit of everything; the verdict follows from the rest."""
    audited = audited or audit()
    if accounted is None:
        counts = audited.counts
        accounted = accounts(deliveries=DeliveriesAccount(counts["expected"], counts["delivered"]))
    verdict, reasons = decide(
        audited, thresholds, accounts=accounted, interrupted_by=str(values.get("interrupted_by", ""))
    )
    trend = MetricSummary(
        Kind.TREND,
        Unit.SECONDS,
        100,
        avg=0.01,
        min=0.001,
        med=0.008,
        max=0.3,
        percentiles={"95": 0.05, "99": 0.2},
    )
    base = RunResult(
        scenario="evening",
        description="Is it good enough?",
        digest="d" * 64,
        seed=7,
        target="http://127.0.0.1:8000",
        protocol="rtcli",
        started=1_700_000_000.5,
        duration=12.0,
        verdict=verdict,
        reasons=reasons,
        thresholds=thresholds,
        audit=audited,
        metrics={
            "fanout_latency": trend,
            "fanout_service": trend,
            "fanout_latency{phase:storm}": trend,
            "lost": MetricSummary(Kind.COUNTER, Unit.NUMBER, audited.counts["lost"], rate=0.5),
            "checks": MetricSummary(Kind.RATE, Unit.RATIO, rate=0.995),
            "vus": MetricSummary(Kind.GAUGE, Unit.NUMBER, value=10),
            "data_received": MetricSummary(Kind.COUNTER, Unit.BYTES, 2048, rate=170.0),
        },
        accounts=accounted,
        generator=Generator(1, 0.12, 50_000_000, 10, lag_p99=0.0012, flagged_seconds=1),
        environment={"python": "3.11", "system": "Linux"},
        timeline=[
            Second(
                second,
                "steady" if second < 6 else "storm",
                10,
                10,
                5,
                45,
                0.008,
                0.02 + second / 100,
                0.02,
                0.001,
                flagged="the loop stalled" if second == 7 else "",
            )
            for second in range(12)
        ],
        spectrum={"fanout_latency": [(0.0, 0.001), (50.0, 0.008), (90.0, 0.02), (99.0, 0.2), (100.0, 0.3)]},
        scenario_path="evening.yaml",
        scenario_text="name: evening\n",
        phases=[("steady", 6.0), ("storm", 6.0)],
    )
    return replace(base, **values)  # type: ignore[arg-type]


def passing() -> RunResult:
    return result(thresholds=(threshold(),))


def failing() -> RunResult:
    return result(
        audited=audit((LOSS,), lost=37, delivered=63),
        thresholds=(
            threshold(),
            threshold("failed", value=0.4, reason="it was 400 ms"),
            threshold("failed", value=None),
        ),
    )


def short() -> RunResult:
    """A run that is short in all three accounts."""
    return result(
        accounted=Accounts(
            users_account(ABSENT, INTERRUPTED, present=4, present_s=54.0),
            SendsAccount(10, 10, 3, {"rate_limited": 7}, shortfalls=(UNSENT,)),
            DeliveriesAccount(160, 100, 60, (MISSED,)),
        ),
        thresholds=(threshold(),),
    )
