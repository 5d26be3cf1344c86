"""Steps of a flow: pauses, loops, choices, and waiting for others."""

from __future__ import annotations

import asyncio

from rtcli.load.core.planned_sends import FlowPoint
from rtcli.load.net.patience import patient_timeout
from rtcli.load.scenario.steps import Choose, Hold, Log, Loop, Signal, Think, Wait
from rtcli.load.users.flow.runner import Flow

_MAX_LINES = 1_000  # for the log, from one worker between two ticks
_MAX_TEXT = 1_000  # characters of a line


async def think(flow: Flow, step: Think) -> None:
    """Pause."""
    await asyncio.sleep(step.time.sample(flow.context.rng))


async def hold(flow: Flow, step: Hold) -> None:
    """Stay connected for a time, or to the end of the stay."""
    if step.time is None:
        await flow.until(flow.end)
    else:
        await asyncio.sleep(step.time.sample(flow.context.rng))


async def loop(flow: Flow, step: Loop) -> None:
    """Repeat; an iteration without any pause still lets others run."""
    until = None if step.time is None else flow.worker.now() + round(step.time.sample(flow.context.rng) * 1e6)
    rounds = 0
    until_s = None if until is None else flow.worker.seconds(until)
    before = flow.context.scope.loop
    while (step.times is None or rounds < step.times) and not flow.worker.stopping:
        now = flow.worker.now()
        if now >= flow.end or (until is not None and now >= until):
            break
        rounds += 1
        flow.context.scope.loop = rounds
        await flow.steps(step.steps, FlowPoint(step.steps, loop=step, rounds=rounds, until=until_s))
        flow.count_iteration(now)
        await asyncio.sleep(0)
    flow.context.scope.loop = before


async def choose(flow: Flow, step: Choose) -> None:
    """Run the steps of one choice, drawn by weight."""
    weights = [choice.weight for choice in step.choices]
    (choice,) = flow.context.rng.choices(step.choices, weights)
    await flow.steps(choice.steps)


async def wait(flow: Flow, step: Wait) -> None:
    """Wait for a barrier, a signal, or a phase."""
    if step.phase is not None:
        await flow.until(flow.worker.phase_start(step.phase))
        return
    name = f"signal {step.signal}" if step.signal is not None else f"barrier {step.barrier}"
    if step.barrier is not None:
        flow.worker.latches.reach(name, step.users)
    async with patient_timeout(step.timeout):
        await flow.worker.latches.wait(name)


async def signal(flow: Flow, step: Signal) -> None:
    """Open a signal for everyone who waits for it."""
    flow.worker.latches.signal(f"signal {step.name}")


async def log(flow: Flow, step: Log) -> None:
    """Write to the run's log."""
    worker = flow.worker
    if len(worker.log) < _MAX_LINES:
        worker.log.append((worker.seconds(worker.now()), flow.context.name, flow.text(step.text)[:_MAX_TEXT]))
    else:
        flow.context.report_problem(f"a line for the log is dropped: more than {_MAX_LINES} a second")
