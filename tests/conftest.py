"""Options and fixtures that every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Machines that run tests are shared and stall: how long an example takes says nothing.
settings.register_profile("rtcli", deadline=None)
settings.load_profile("rtcli")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the fault tests with their full counts (hours)")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to repeat faults with the full counts of docs/reliability.md."""
    return bool(request.config.getoption("--soak"))
