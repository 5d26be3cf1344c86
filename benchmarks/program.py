"""What all tables have in common: options, rounds, the interleaving, progress and the file at the end."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from benchmarks import machine, results
from benchmarks.client.jobs import Result
from benchmarks.harness import MeasurementError, Running, running
from benchmarks.peers import PEERS, installed, versions
from benchmarks.results import Row, Table
from benchmarks.tables import ratios_text, table_text

Item = TypeVar("Item")


@dataclass(frozen=True)
class Options:
    """How long and how often: `seconds` for one measurement, after `warmup_s`."""

    rounds: int
    seconds: float
    warmup_s: float
    only: tuple[str, ...]
    out: Path


@dataclass(frozen=True)
class Case:
    """One line of a table: its name, the servers that take part, and what is done to a running one."""

    name: str
    subjects: Sequence[str]
    measure: Callable[[Running, Options], Result]


def options(description: str, seconds: float = 3.0, argv: Sequence[str] | None = None) -> Options:
    """The command line that all programs share. ``--quick`` proves that everything works, no more."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=seconds, help="length of one measurement")
    parser.add_argument(
        "--quick", action="store_true", help="one round of half a second, kept out of the results"
    )
    parser.add_argument("--only", default="", help="these subjects alone, separated by commas")
    parser.add_argument("--out", type=Path, default=results.RESULTS)
    given = parser.parse_args(argv)
    only = tuple(name for name in given.only.split(",") if name)
    if given.quick:
        return Options(1, 0.5, 0.2, only, Path(__file__).parent / ".cache/quick")
    return Options(given.rounds, given.seconds, min(1.0, given.seconds / 2), only, given.out)


def rotated(items: Sequence[Item], by: int) -> list[Item]:
    """`items` starting at another place each round, so that none is always measured first."""
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run_cases(cases: Sequence[Case], chosen: Options) -> tuple[list[Row], list[str]]:
    """Measure every case with every subject, interleaved; a failure is noted and passed over."""
    names = list(dict.fromkeys(name for case in cases for name in case.subjects))
    peers = [peer for peer in installed(names) if not chosen.only or peer.name in chosen.only]
    found: dict[tuple[str, str], list[Result]] = {}
    failed: list[str] = []
    for number in range(chosen.rounds):
        for case in cases:
            for peer in rotated([peer for peer in peers if peer.name in case.subjects], number):
                try:
                    with running(peer) as server:
                        result = case.measure(server, chosen)
                except MeasurementError as error:
                    failed.append(f"{case.name}, {peer.name}: {str(error).strip().splitlines()[-1]}")
                    say(f"-- failed: {failed[-1]}")
                    continue
                found.setdefault((case.name, peer.name), []).append(result)
                say(f"round {number + 1}  {case.name:34} {peer.name:16} {brief(result)}")
    order = [(case.name, name) for case in cases for name in case.subjects if (case.name, name) in found]
    return [Row(case, subject, found[case, subject]) for case, subject in order], failed


def brief(result: Result) -> str:
    """One measurement in a few words."""
    words = [f"{result.per_second:12,.0f}/s"] if result.per_second is not None else []
    if result.server_cpu_per_million is not None:
        words.append(f"server {result.server_cpu_per_million:6.2f} s/M")
    if result.store_cpu_per_million is not None:
        words.append(f"store {result.store_cpu_per_million:6.2f} s/M")
    if result.client_share is not None:
        words.append(f"client {result.client_share:4.0%}")
    if result.p99 is not None:
        words.append(f"p99 {result.p99 * 1000:.1f} ms")
    if result.bytes_per_connection is not None:
        words.append(f"{result.bytes_per_connection / 1024:.1f} KB each")
    if result.accepts_per_second is not None:
        words.append(f"{result.accepts_per_second:,.0f} accepted/s")
    if result.ready_s is not None:
        words.append(f"{result.ready_s * 1000:.0f} ms")
    return "  ".join(words)


def finish(name: str, rows: list[Row], failed: list[str], chosen: Options, method: dict[str, str]) -> Table:
    """Write the table's file and print it, ratios first."""
    rounds = {"rounds": str(chosen.rounds), "seconds each": f"{chosen.seconds:g}"}
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    table = Table(name, started, {**rounds, **method}, machine.describe(), versions(), rows, failed)
    path = results.write(table, chosen.out)
    print(ratios_text(table))
    print(table_text(table))
    say(f"-- written: {os.path.relpath(path)}")
    return table


__all__ = ["PEERS", "Case", "Options", "finish", "options", "run_cases", "say"]
