"""Steps of a flow: the connection, opened, closed, lost on purpose and opened again."""

from __future__ import annotations

import asyncio

from rtcli.load.errors import ConnectError
from rtcli.load.scenario.steps import BackoffStep, Connect, Disconnect, KillStep, Resume
from rtcli.load.users.flow.runner import GOODBYE_S, Flow


async def connect(flow: Flow, step: Connect) -> None:
    """Open the connection; try again as the role's `reconnect` says."""
    user = flow.user
    target = flow.worker.scenario.target
    same = flow.worker.scenario.protocol_of(flow.context.role) == target.protocol
    path = step.path or (target.path if same else None)
    user.prepare(
        path=None if path is None else flow.text(path),
        headers={name: flow.text(value) for name, value in {**target.headers, **step.headers}.items()},
        rooms=[flow.text(room) for room in step.rooms],
        events=step.events,
    )
    policy = flow.context.role.reconnect
    while True:
        try:
            await user.open(step.timeout)
        except ConnectError as error:
            if not error.retryable or policy is None:
                raise
            await asyncio.sleep(max(policy.delay(flow.context.rng, user.attempt), 0.01))
            user.attempt += 1
        else:
            user.attempt = 0
            return


async def disconnect(flow: Flow, step: Disconnect) -> None:
    """Close as the protocol wants it."""
    await flow.user.finish(step.code, step.reason, GOODBYE_S)


async def kill(flow: Flow, step: KillStep) -> None:
    """Lose the connection."""
    flow.user.kill(step.how)


async def backoff(flow: Flow, step: BackoffStep) -> None:
    """Wait before reconnecting."""
    user = flow.user
    delay = step.backoff.delay(flow.context.rng, user.attempt)
    if user.retry_after is not None:
        delay += user.retry_after
    await asyncio.sleep(delay)


async def resume(flow: Flow, step: Resume) -> None:
    """Reconnect, and check what the scenario expects of it."""
    user = flow.user
    if user.is_reconnecting:  # after a cut or a loss that no step caused: not twice at once
        await user.wait_connected()
    if user.connected:
        return
    failure = await user.resume(step.timeout)
    if failure is not None:
        flow.context.report_problem(f"could not resume: {failure}".rstrip(": "))
    elif step.expect != "any":
        flow.check(step, good=(user.memberships.recovered is True) is (step.expect == "recovered"))
