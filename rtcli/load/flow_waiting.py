"""Steps of a flow: what it waits for, repeats, chooses and tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rtcli.load.flow import Flow
from rtcli.load.flow_http import request
from rtcli.load.scenario_steps import Choose, Expect, Hold, Http, Log, Loop, Signal, Think, Wait
from rtcli.load.watch import Pattern, Watcher, found, lookup


async def expect(flow: Flow, step: Expect) -> None:
    """Watch every frame for one that matches."""
    pattern = Pattern(
        None if step.type is None else flow.text(step.type),
        {path: flow.text(value) for path, value in step.where.items()},
        None if step.contains is None else flow.text(step.contains),
    )
    watcher = Watcher(pattern, step.count)
    if flow.before is not None and not step.absent:
        flow.before.replay(watcher)
    flow.user.watch(watcher)
    try:
        async with asyncio.timeout(step.within):
            await watcher.done.wait()
        seen = True
    except TimeoutError:
        seen = False
    finally:
        flow.user.unwatch(watcher)
    flow.check(step, good=seen is not step.absent)
    if seen:
        _capture(flow, watcher.found, step.capture)


def _capture(flow: Flow, tree: object, captures: Mapping[str, str]) -> None:
    for name, path in captures.items():
        if found(tree, path):
            flow.user.scope.session[name] = lookup(tree, path)


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
    until = None if step.time is None else flow.engine.now() + round(step.time.sample(flow.user.rng) * 1e6)
    rounds = 0
    before = flow.user.scope.loop
    while (step.times is None or rounds < step.times) and not flow.engine.stopping:
        now = flow.engine.now()
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
        await flow.until(flow.engine.phase_start(step.phase))
        return
    name = f"signal {step.signal}" if step.signal is not None else f"barrier {step.barrier}"
    if step.barrier is not None:
        flow.engine.post(("barrier", name, step.users))
    async with asyncio.timeout(step.timeout):
        await flow.engine.door(name).wait()


async def signal(flow: Flow, step: Signal) -> None:
    """Let everyone pass who waits for it."""
    flow.engine.post(("signal", f"signal {step.name}"))


async def log(flow: Flow, step: Log) -> None:
    """Write to the run's log."""
    flow.engine.log.append(f"{flow.user.name}: {flow.text(step.text)}")


async def http(flow: Flow, step: Http) -> None:
    """Make a request to the deployment."""
    answer = await request(flow.engine, flow.user, step)
    flow.check(step, good=answer.status in step.status)
    _capture(flow, answer.tree, step.capture)
