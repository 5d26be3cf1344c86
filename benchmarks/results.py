"""One table's results: what every round of every case gave for every subject, with machine and versions.

Kept as JSON under ``results/``; `benchmarks.report` makes the documentation from these files.
"""

from pathlib import Path

import msgspec

from benchmarks.client.jobs import Result
from benchmarks.stats import middle, ratio

RESULTS = Path(__file__).parent / "results"


class Row(msgspec.Struct, frozen=True):
    """The rounds of one subject (a server or a generator) in one case."""

    case: str
    subject: str
    rounds: list[Result]


class Table(msgspec.Struct, frozen=True):
    """Everything one program measured in one run. `failed`: what could not be measured, and why."""

    name: str
    started: str
    method: dict[str, str]
    machine: dict[str, str]
    versions: dict[str, str]
    rows: list[Row]
    failed: list[str] = []

    def samples(self, case: str, subject: str, quantity: str) -> list[float]:
        """The `quantity` (a field of `Result`) of each round; empty where it was not measured."""
        rounds = [
            result for row in self.rows if (row.case, row.subject) == (case, subject) for result in row.rounds
        ]
        values = [getattr(result, quantity) for result in rounds]
        return [float(value) for value in values if value is not None]

    def median(self, case: str, subject: str, quantity: str) -> float | None:
        """The median of the rounds; nothing where it was not measured."""
        samples = self.samples(case, subject, quantity)
        return middle(samples) if samples else None

    def ratio(self, case: str, ours: str, theirs: str, quantity: str) -> float | None:
        """Our median over theirs; nothing where one is missing."""
        return ratio(self.samples(case, ours, quantity), self.samples(case, theirs, quantity))

    def cases(self) -> list[str]:
        """The cases in the order in which they were measured."""
        return list(dict.fromkeys(row.case for row in self.rows))

    def subjects(self, case: str) -> list[str]:
        """The subjects of `case` in the order in which they were measured."""
        return list(dict.fromkeys(row.subject for row in self.rows if row.case == case))


def write(table: Table, folder: Path) -> Path:
    """Write ``<name>.json`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")
    return path


def read(name: str, folder: Path = RESULTS) -> Table | None:
    """The table written as `name`, or nothing when it has not been measured."""
    path = folder / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Table) if path.is_file() else None
