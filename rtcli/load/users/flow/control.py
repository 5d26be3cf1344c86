"""Steps of a flow: when it goes on, and which way."""

from __future__ import annotations

import asyncio

from rtcli.load.scenario.steps import Choose, Hold, Log, Loop, Signal, Think, Wait
from rtcli.load.users.flow.runner import Flow


async def think(flow: Flow, step: Think) -> None:
    """Pause."""
    await asyncio.sleep(step.time.sample(flow.user.rng))


async def hold(flow: Flow, step: Hold) -> None:
    """Stay for a time, or to the end."""
    if step.time is None:
        await flow.until(flow.end)
    else:
        await asyncio.sleep(step.time.sample(flow.user.rng))


async def loop(flow: Flow, step: Loop) -> None:
    """Repeat; a round without any wait in it still lets others run."""
    until = None if step.time is None else flow.worker.now() + round(step.time.sample(flow.user.rng) * 1e6)
    rounds = 0
    before = flow.user.scope.loop
    while (step.times is None or rounds < step.times) and not flow.worker.stopping:
        now = flow.worker.now()
        if now >= flow.end or (until is not None and now >= until):
            break
        rounds += 1
        flow.user.scope.loop = rounds
        await flow.steps(step.steps)
        flow.count_iteration(now)
        await asyncio.sleep(0)
    flow.user.scope.loop = before


async def choose(flow: Flow, step: Choose) -> None:
    """Go one way."""
    weights = [choice.weight for choice in step.choices]
    (choice,) = flow.user.rng.choices(step.choices, weights)
    await flow.steps(choice.steps)


async def wait(flow: Flow, step: Wait) -> None:
    """Wait for others, a signal, or a phase."""
    if step.phase is not None:
        await flow.until(flow.worker.phase_start(step.phase))
        return
    name = f"signal {step.signal}" if step.signal is not None else f"barrier {step.barrier}"
    if step.barrier is not None:
        flow.worker.latches.reach(name, step.users)
    async with asyncio.timeout(step.timeout):
        await flow.worker.latches.wait(name)


async def signal(flow: Flow, step: Signal) -> None:
    """Let everyone pass who waits for it."""
    flow.worker.latches.signal(f"signal {step.name}")


async def log(flow: Flow, step: Log) -> None:
    """Write to the run's log."""
    flow.worker.log.append(f"{flow.user.name}: {flow.text(step.text)}")
