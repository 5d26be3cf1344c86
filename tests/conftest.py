"""Options and fixtures that every test may use, and what holds for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from tests.support import hermetic, measurement, unexpected_logs
from tests.support.attacks import table
from tests.support.paths import ROOT
from tests.support.processes import forked

hermetic.neutralise()

# Machines that run tests are shared and stall: how long an example takes says nothing. Examples that failed
# are kept with the repository, wherever the session is started, if it may write there.
examples = (
    DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
    if os.access(ROOT, os.W_OK)
    else InMemoryExampleDatabase()
)
settings.register_profile("rtcli", deadline=None, database=examples)
settings.load_profile("rtcli")


# Folders of faults, and of tests that start processes of the command line, each a second or more.
QUICK_LEAVES_OUT = ("attacks", "browser", "deploy", "e2e", "faults", "rtcli/cli/commands", "rtcli/load/run")
# Folders whose processes are measured, besides the tests' own. The others start the same servers and commands
# again, which covers nothing more, and made the suite two minutes longer.
MEASURES_PROCESSES = ("e2e", "rtcli", "server")
NEEDS_A_PACKAGE = {"redis_of_session", "cluster_of_session"}  # fixtures; others have the marker `system`


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the fault tests with their full counts (hours)")
    parser.addoption(
        "--quick", action="store_true", help="leave out what needs a system package, faults, whole load tests"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        left_out = [item for item in items if _is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let coverage start, or not, in the processes that this test starts."""
    measured = any(item.path.is_relative_to(ROOT / "tests" / folder) for folder in MEASURES_PROCESSES)
    measurement.switch(on=measured)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the attacks of this run cost: each row can be put into the documentation as it is."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    done = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    lines = table.render(cost for report in done for cost in table.decode(report.user_properties))
    if lines:
        terminalreporter.section("costs of the attacks")
        for line in lines:
            terminalreporter.line(line)


def _is_left_out(item: pytest.Item) -> bool:
    """Whether a test needs a system package, or lies in a folder that `--quick` leaves out."""
    stores = {"redis", "cluster"} & {*item.name.partition("[")[2].rstrip("]").split("-")}
    fixtures = NEEDS_A_PACKAGE & set(getattr(item, "fixturenames", ()))
    path = item.path.relative_to(ROOT / "tests")
    marked = item.get_closest_marker("system") is not None
    return bool(stores or fixtures or marked) or any(map(path.is_relative_to, QUICK_LEAVES_OUT))


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to repeat faults with the full counts of docs/reliability.md."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(autouse=True)
def nothing_unexpected_is_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose servers logged a traceback, or that left an exception to the garbage collector."""
    with unexpected_logs.collected() as found:
        yield
    if request.node.get_closest_marker("logs_traceback") is None:
        assert not found, "logged unexpectedly:\n" + "\n".join(found)


@pytest.fixture(scope="session", autouse=True)
def session_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the session directories of its own; at its end, no process and no temporary file may be left."""
    home, temporary = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("temporary")
    hermetic.use_directories(home, temporary)
    yield
    forked.close()
    left = hermetic.left_processes() + hermetic.left_files(temporary)
    assert not left, "left behind by tests: " + ", ".join(left)
