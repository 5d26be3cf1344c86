from __future__ import annotations

import asyncio

import pytest

from rtcli.cli.limits import EndOptions, Limit
from rtcli.errors import CliError, Exit


async def work(seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return 7


@pytest.mark.parametrize("limit", [Limit(), Limit(timeout=60), Limit(duration=60), Limit(60, 60)])
async def test_what_ends_in_time_keeps_its_exit_code(limit: Limit) -> None:
    assert await limit.apply(work()) == 7


@pytest.mark.parametrize("limit", [Limit(duration=0.01), Limit(60, 0.01)])
async def test_the_planned_end_is_a_success(limit: Limit) -> None:
    assert await limit.apply(work(60)) == Exit.OK


@pytest.mark.parametrize("limit", [Limit(timeout=0.01), Limit(0.01, 60)])
async def test_the_deadline_is_an_error(limit: Limit) -> None:
    with pytest.raises(CliError, match="not done within") as caught:
        await limit.apply(work(60))
    assert caught.value.exit_code == Exit.TIMEOUT


async def test_a_timeout_of_the_work_itself_is_passed_on() -> None:
    async def fail() -> int:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await Limit(timeout=60, duration=60).apply(fail())


def test_the_options_become_limits() -> None:
    assert EndOptions(count=3, timeout=1.0, duration=2.0).limit() == Limit(1.0, 2.0)
