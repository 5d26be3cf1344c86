"""Writes ``docs/performance.md`` from the results: the targets first, then every table."""

from pathlib import Path

from benchmarks.results import Table, read
from benchmarks.table_specs import TABLE_SPECS, TableSpec
from benchmarks.tables import at_the_limit, judgement, ratios_text, row_of, table_text, unaccounted, value_of
from benchmarks.targets import TARGETS, PerformanceTarget

DOCS = Path(__file__).parent.parent / "docs/performance.md"
NOTES = Path(__file__).parent / "notes.md"

HEAD = """# Performance

This page is made by `scripts/bench` from the files in `benchmarks/results/`: us and our peers on one machine,
in one run, interleaved, median of the rounds and half their range. The server under test has one core, the
load client another. **Read the ratios**: the machine is small and its mood changes, so an absolute figure
says little by itself.

All servers do the same work: a token checked at the door, a room joined, one JSON message in, one JSON
message with sender and timestamp out to every member. (Nchan checks no token and hands on the bytes as they
came.) Ours does it with everything on: limits, presence, offsets, history, metrics. Each loop ends with an
audit: what arrived must be what was published times the members, or the row is named below its table.
"""


def figure(value: float) -> str:
    """A number with as many digits as it deserves.

    >>> figure(1739.2), figure(34.56), figure(0.756)
    ('1 739', '34.6', '0.76')
    """
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")


def target_row(target: PerformanceTarget, table: Table | None) -> str:
    """One target, what was measured, and the judgement."""
    sign = "≥" if target.goal > target.acceptable else "≤"
    value = value_of(target, table)
    measured = "–" if value is None else f"{figure(value)}{target.unit}"
    acceptable, goal = (f"{sign} {figure(limit)}{target.unit}" for limit in (target.acceptable, target.goal))
    verdict = judgement(target, value)
    return row_of(
        [target.text, acceptable, goal, measured, f"**{verdict}**" if verdict == "missed" else verdict]
    )


def targets_text(tables: dict[str, Table]) -> str:
    """The table of targets."""
    lines = ["## Targets", "", row_of(["", "acceptable", "goal", "measured", ""])]
    lines.append("|---|---:|---:|---:|---|")
    lines += [target_row(target, tables.get(target.table)) for target in TARGETS]
    return "\n".join(lines) + "\n"


def notes_of(text: str, name: str) -> str:
    r"""The part of the notes under the heading ``## name``; nothing when there is none.

    >>> notes_of("## a\nfirst\n## b\nsecond\n", "a")
    'first'
    """
    for part in ("\n" + text).split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        if heading.strip() == name:
            return body.strip()
    return ""


def said_of(values: dict[str, str]) -> str:
    """Pairs in one line."""
    return " · ".join(f"{name}: {value}" for name, value in values.items())


def section(spec: TableSpec, table: Table, notes: str) -> str:
    """One table with its ratios, its method, and what must be known to read it."""
    parts = [f"## {spec.title}\n", spec.text, "", f"_{said_of(table.method)} · measured {table.started}_"]
    parts += [ratios_text(table), table_text(table)]
    limited = at_the_limit(table)
    if limited:
        parts.append(f"Load client at its limit (95 % busy or more) in: {'; '.join(limited)}.\n")
    missing = unaccounted(table)
    if missing:
        parts.append(f"Not everything that was published arrived in time: {'; '.join(missing)}.\n")
    if table.failed:
        parts.append(f"Could not be measured: {'; '.join(table.failed)}.\n")
    if notes:
        parts.append(notes + "\n")
    return "\n".join(parts)


def page(tables: dict[str, Table], notes: str) -> str:
    """The whole page."""
    parts = [HEAD, targets_text(tables), notes_of(notes, "targets")]
    for name, spec in TABLE_SPECS.items():
        if name in tables:
            parts.append(section(spec, tables[name], notes_of(notes, name)))
    machines = dict.fromkeys(f"{name}: {said_of(table.machine)}" for name, table in tables.items())
    parts.append("## Machine and versions\n\n" + "\n".join(f"- {line}" for line in machines))
    versions = {name: said for table in tables.values() for name, said in table.versions.items()}
    parts.append(said_of(versions))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def main() -> None:
    """Write the page from what has been measured so far."""
    tables = {name: table for name in TABLE_SPECS if (table := read(name)) is not None}
    notes = NOTES.read_text() if NOTES.is_file() else ""
    DOCS.write_text(page(tables, notes))
    print(f"-- written: {DOCS}")


if __name__ == "__main__":
    main()
