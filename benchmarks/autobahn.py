"""Runs the Autobahn test suite against both WebSocket transports and writes ``docs/autobahn.md``.

``python -m benchmarks.autobahn PYTHON27``. The suite needs Python 2.7 and is installed, with the versions it
works with, into ``.cache/autobahn``. Cases 12 and 13 are about compression, which the server does not offer.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.install import CACHE, CannotInstallError, run
from benchmarks.machine import describe
from benchmarks.peers import ROOT

HOME = CACHE / "autobahn"
DOCS = ROOT / "docs/autobahn.md"
TRANSPORTS = ("picows", "portable")
CASES = [f"{number}.*" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")
RUN_S = 900.0
SUITE = "autobahntestsuite==25.10.1"
PINS = (
    "txaio==2.1.0", "incremental==16.10.1", "cryptography==3.3.2", "Twisted==19.10.0",
    "zope.interface==4.6.0",
    "jinja2==2.11.3", "markupsafe==1.1.1", "Werkzeug==1.0.1", "klein==17.10.0", "pyopenssl==19.1.0",
    "service_identity==18.1.0", "unittest2==1.1.0", "six==1.16.0", "autobahn==0.10.9", "markdown==3.1.1",
    "wsaccel==0.6.2",
)  # fmt: skip
DEVIATIONS = {
    "portable 7.1.5": "the websockets library answers a close frame inside a fragmented message with 1002,"
    " and says so in its own compliance report",
}


@dataclass(frozen=True)
class Outcome:
    """How one case ended for one transport."""

    transport: str
    case: str
    behavior: str
    closing: str

    @property
    def name(self) -> str:
        """Transport and case."""
        return f"{self.transport} {self.case}"

    @property
    def passed(self) -> bool:
        """Whether both the exchange and the closing handshake were as they should be."""
        return self.behavior in PASSED and self.closing in PASSED


def install(python: str) -> Path:
    """Install the suite unless it is there; the path of its program. Raises `CannotInstallError`."""
    program = HOME / "suite/bin/wstest"
    if program.is_file():
        return program
    HOME.mkdir(parents=True, exist_ok=True)
    print("-- installing the Autobahn test suite into benchmarks/.cache", file=sys.stderr)
    run(
        python, "-m", "pip", "install", "-q", "--target", str(HOME / "tools"), "virtualenv==20.15.1", cwd=HOME
    )
    run("env", f"PYTHONPATH={HOME / 'tools'}", python, "-m", "virtualenv", "-q", "suite", cwd=HOME)
    pip = (str(HOME / "suite/bin/pip"), "install", "-q")
    run(*pip, "--no-build-isolation", *PINS, cwd=HOME)
    run(*pip, "--no-deps", SUITE, cwd=HOME)
    return program


@contextmanager
def echo_server(transport: str) -> Iterator[str]:
    """An echo server on `transport` while the block runs; its URL."""
    argv = [sys.executable, "-m", "benchmarks.echo", transport]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout is not None else ""
            if not line:
                raise CannotInstallError(f"the echo server on {transport} did not start")
            yield line.strip()
        finally:
            server.send_signal(signal.SIGTERM)


def run_suite(program: Path, transport: str, cases: list[str]) -> dict[str, dict[str, str]]:
    """Run `cases` against `transport`; the suite's index: case → behavior and behaviorClose."""
    with echo_server(transport) as url:
        reports = HOME / f"reports-{transport}"
        spec = HOME / f"spec-{transport}.json"
        servers = [{"agent": transport, "url": url}]
        content = {"outdir": str(reports), "servers": servers, "cases": cases, "exclude-cases": []}
        spec.write_text(json.dumps(content))
        argv = [str(program), "-m", "fuzzingclient", "-s", str(spec)]
        with (HOME / f"{transport}.log").open("wb") as log:
            subprocess.run(argv, cwd=HOME, stdout=log, stderr=log, timeout=RUN_S, check=True)
    found: dict[str, dict[str, str]] = json.loads((reports / "index.json").read_text())[transport]
    return found


def outcomes_of(transport: str, index: Mapping[str, Mapping[str, str]]) -> list[Outcome]:
    """The index of the suite as outcomes, in the order of the case numbers."""
    ordered = sorted(index, key=lambda case: [int(part) for part in case.split(".")])
    return [
        Outcome(transport, case, index[case]["behavior"], index[case]["behaviorClose"]) for case in ordered
    ]


def page(outcomes: list[Outcome], about: str) -> str:
    """``docs/autobahn.md``: a count for each transport, then everything that is not plainly OK."""
    lines = [
        "# Autobahn test suite",
        "",
        "What the suite says about the server's two WebSocket transports, each serving an echo session.",
        "Cases 12 and 13 (compression, which is not offered) are left out. Made by `scripts/autobahn`.",
        "",
        "| transport | cases | OK | NON-STRICT | INFORMATIONAL | failed |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for transport in dict.fromkeys(outcome.transport for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.transport == transport]
        count = Counter(outcome.behavior if outcome.passed else "failed" for outcome in mine)
        cells = [str(count[word]) for word in (*PASSED, "failed")]
        lines.append(f"| {transport} | {len(mine)} | {' | '.join(cells)} |")
    lines += [
        "",
        "NON-STRICT: allowed, though another behaviour is suggested. Everything that is not OK:",
        "",
    ]
    for outcome in outcomes:
        if outcome.passed and outcome.behavior == "OK":
            continue
        reason = DEVIATIONS.get(outcome.name)
        closing = "" if outcome.closing in PASSED else f", closing {outcome.closing}"
        line = f"- {outcome.name}: {outcome.behavior}{closing}"
        lines.append(f"{line} – {reason}" if reason else line)
    return "\n".join([*lines, "", about, ""])


def main() -> int:
    """Run the suite, write the page; 1 when a case fails that is no documented deviation."""
    cases = sys.argv[2:] or CASES
    try:
        program = install(sys.argv[1])
        outcomes = [
            outcome
            for transport in TRANSPORTS
            for outcome in outcomes_of(transport, run_suite(program, transport, cases))
        ]
    except CannotInstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for outcome in outcomes:
        if not outcome.passed:
            print(f"{outcome.name}: {outcome.behavior}, closing {outcome.closing}")
    if cases == CASES:
        packages = ("uvicorn", "websockets", "picows")
        known = " · ".join(f"{name} {version(name)}" for name in packages)
        today = datetime.now(UTC).date().isoformat()
        DOCS.write_text(page(outcomes, f"_{today} · {SUITE} · {known} · {describe()['kernel']}_"))
    unexpected = [one for one in outcomes if not one.passed and one.name not in DEVIATIONS]
    print(f"{len(outcomes) - len(unexpected)} passed, {len(unexpected)} failed")
    return 1 if unexpected else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
