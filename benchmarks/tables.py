"""Tables as text: ratios first, then medians with their spread. Pure."""

from benchmarks.results import Table
from benchmarks.stats import middle, ratio, spread
from benchmarks.table_specs import TABLE_SPECS, Column
from benchmarks.targets import PerformanceTarget

LIMIT_SHARE = 0.95
NAMES = {
    "per_second": "Rate",
    "server_cpu_per_million": "CPU per delivery",
    "p99": "p99",
    "accepts_per_second": "Accepted per second",
    "bytes_per_connection": "Memory per connection",
    "ready_s": "Time to start",
}


def cell(samples: list[float], column: Column) -> str:
    """Median and spread of the rounds; a dash where nothing was measured.

    >>> cell([0.001, 0.0012, 0.0011], Column("p99 ms", "p99", 1e3, 2))
    '1.10 ± 9 %'
    """
    if not samples:
        return "–"
    value = f"{middle(samples) * column.scale:,.{column.digits}f}".replace(",", " ")
    return f"{value} ± {spread(samples):.0%}".replace("%", " %") if len(samples) > 1 else value


def row_of(words: list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(words)} |"


def table_text(table: Table) -> str:
    """All figures of `table` as one Markdown table per case."""
    spec = TABLE_SPECS[table.name]
    columns = [column for column in spec.columns if any_measured(table, column)]
    lines: list[str] = []
    for case in table.cases():
        lines += ["", f"**{case}**", "", row_of([""] + [column.heading for column in columns])]
        lines.append("|---|" + "---:|" * len(columns))
        for subject in table.subjects(case):
            cells = [cell(table.samples(case, subject, column.quantity), column) for column in columns]
            lines.append(row_of([subject, *cells]))
    return "\n".join(lines) + "\n"


def any_measured(table: Table, column: Column) -> bool:
    """Whether any row of `table` has the column's quantity."""
    return any(table.samples(row.case, row.subject, column.quantity) for row in table.rows)


def ratio_cell(value: float | None) -> str:
    """A ratio with three digits.

    >>> ratio_cell(1793.1), ratio_cell(1.234), ratio_cell(0.0034), ratio_cell(None)
    ('1793×', '1.23×', '0.0034×', '–')
    """
    if value is None:
        return "–"
    return f"{value:.0f}×" if value >= 100 else f"{value:.3g}×"


def ratios_text(table: Table) -> str:
    """Our median over each peer's, for the compared quantities, as one Markdown table per quantity."""
    spec = TABLE_SPECS[table.name]
    lines: list[str] = []
    for quantity in spec.compared:
        theirs = list(dict.fromkeys(row.subject for row in table.rows if row.subject != spec.ours))
        cases = [case for case in table.cases() if table.samples(case, spec.ours, quantity)]
        if not cases or not theirs:
            continue
        lines += ["", f"{NAMES[quantity]}, {spec.ours} over:", "", row_of(["", *theirs])]
        lines.append("|---|" + "---:|" * len(theirs))
        for case in cases:
            values = [table.ratio(case, spec.ours, peer, quantity) for peer in theirs]
            lines.append(row_of([case, *map(ratio_cell, values)]))
    return "\n".join(lines) + "\n"


def at_the_limit(table: Table) -> list[str]:
    """The rows where the load client was so busy that it, not the server, may have set the rate."""
    return [
        f"{row.case}: {row.subject}"
        for row in table.rows
        if (table.median(row.case, row.subject, "client_share") or 0) >= LIMIT_SHARE
    ]


def unaccounted(table: Table) -> list[str]:
    """The rows in which a round did not deliver exactly what was published."""
    return [
        f"{row.case}, {row.subject}: {result.delivered} of {result.expected}"
        for row in table.rows
        for result in row.rounds
        if result.expected is not None and result.delivered != result.expected
    ]


def value_of(target: PerformanceTarget, table: Table | None) -> float | None:
    """What was measured for `target`: a ratio, or the scaled median; nothing when it was not."""
    if table is None:
        return None
    if target.theirs:
        return table.ratio(target.case, target.ours, target.theirs, target.quantity)
    if target.base:
        ours = table.samples(target.case, target.ours, target.quantity)
        return ratio(ours, table.samples(target.base, target.ours, target.quantity))
    median = table.median(target.case, target.ours, target.quantity)
    return None if median is None else median * target.scale


def judgement(target: PerformanceTarget, value: float | None) -> str:
    """`goal`, `acceptable`, `missed` or `not measured`.

    >>> judgement(PerformanceTarget("", "", "", "", acceptable=10, goal=3), 4.0)
    'acceptable'
    """
    if value is None:
        return "not measured"
    more_is_good = target.goal > target.acceptable
    for limit, word in ((target.goal, "goal"), (target.acceptable, "acceptable")):
        if value >= limit if more_is_good else value <= limit:
            return word
    return "missed"
