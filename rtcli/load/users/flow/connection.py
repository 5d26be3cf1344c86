"""Steps of a flow: the connection, opened, closed, lost on purpose and opened again."""

from __future__ import annotations

from rtcli.load.adapters import Opening
from rtcli.load.scenario.steps import BackoffStep, Connect, Disconnect, KillStep, Resume
from rtcli.load.users.flow.runner import GOODBYE_S, Flow


async def connect(flow: Flow, step: Connect) -> None:
    """Open the connection; if that fails, try again as the role's `reconnect` says."""
    target = flow.worker.scenario.target
    same = flow.worker.scenario.protocol_of(flow.context.role) == target.protocol
    path = step.path or (target.path if same else None)
    opening = Opening(
        token=flow.context.token(),
        path=None if path is None else flow.text(path),
        headers={name: flow.text(value) for name, value in {**target.headers, **step.headers}.items()},
        rooms=[flow.text(room) for room in step.rooms],
        events=step.events,
    )
    flow.out_of_reach.hold_up()
    await flow.user.connect(opening, step.timeout)


async def disconnect(flow: Flow, step: Disconnect) -> None:
    """Close as the protocol wants it."""
    flow.user.presence.asked_away(flow.worker.now())
    await flow.user.finish(step.code, step.reason, GOODBYE_S)


async def kill(flow: Flow, step: KillStep) -> None:
    """Lose the connection."""
    flow.user.presence.asked_away(flow.worker.now())
    flow.user.kill(step.how)


async def backoff(flow: Flow, step: BackoffStep) -> None:
    """Wait before reconnecting."""
    await flow.user.back_off(step.backoff)


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
