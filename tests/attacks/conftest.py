"""Servers to attack, and the record of what it cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.attacks import table
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget, Target
from tests.support.redis.server import redis_of_session

__all__ = ["redis_of_session"]


@pytest.fixture(params=[Kind.PICOWS, Kind.PORTABLE])
def kind(request: pytest.FixtureRequest) -> Kind:
    """For attacks that go through a WebSocket transport: both of `rtcli serve`."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
async def start_target(tmp_path: Path) -> AsyncIterator[StartTarget]:
    """Start a server of a kind, with options of the command and settings by name. It ends with the test."""
    started: list[Target] = []

    async def start(
        kind: Kind = Kind.PICOWS, *options: str, store: str = "memory:", **settings: object
    ) -> Target:
        home = tmp_path / f"target-{len(started)}"
        home.mkdir()
        target = Target(home, kind, *options, store=store, settings=settings)
        started.append(target)
        await target.start()
        return target

    yield start
    for target in started:
        target.kill()


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """Measure attacks; their costs are printed at the end of the run."""
    return Measure(lambda cost: request.node.user_properties.append(table.encode(cost)))
