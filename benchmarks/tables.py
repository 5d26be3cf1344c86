"""Tables as text: ratios first, then medians with their spread. Pure."""

from benchmarks.results import Table
from benchmarks.stats import middle, ratio, spread
from benchmarks.table_specs import LAYOUTS, Column
from benchmarks.targets import Mark

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
    layout = LAYOUTS[table.name]
    columns = [column for column in layout.columns if any_measured(table, column)]
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
    layout = LAYOUTS[table.name]
    lines: list[str] = []
    for quantity in layout.compared:
        theirs = list(dict.fromkeys(row.subject for row in table.rows if row.subject != layout.ours))
        cases = [case for case in table.cases() if table.samples(case, layout.ours, quantity)]
        if not cases or not theirs:
            continue
        lines += ["", f"{NAMES[quantity]}, {layout.ours} over:", "", row_of(["", *theirs])]
        lines.append("|---|" + "---:|" * len(theirs))
        for case in cases:
            values = [table.ratio(case, layout.ours, peer, quantity) for peer in theirs]
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


def value_of(mark: Mark, table: Table | None) -> float | None:
    """What was measured for `mark`: a ratio, or the scaled median; nothing when it was not."""
    if table is None:
        return None
    if mark.theirs:
        return table.ratio(mark.case, mark.ours, mark.theirs, mark.quantity)
    if mark.base:
        ours = table.samples(mark.case, mark.ours, mark.quantity)
        return ratio(ours, table.samples(mark.base, mark.ours, mark.quantity))
    median = table.median(mark.case, mark.ours, mark.quantity)
    return None if median is None else median * mark.scale


def judgement(mark: Mark, value: float | None) -> str:
    """`goal`, `first mark`, `missed` or `not measured`.

    >>> judgement(Mark("", "", "", "", first=10, goal=3), 4.0)
    'first mark'
    """
    if value is None:
        return "not measured"
    more_is_good = mark.goal > mark.first
    for limit, word in ((mark.goal, "goal"), (mark.first, "first mark")):
        if value >= limit if more_is_good else value <= limit:
            return word
    return "missed"
