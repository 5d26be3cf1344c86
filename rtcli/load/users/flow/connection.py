"""Steps of a flow: the connection, opened, closed, lost on purpose and opened again."""

from __future__ import annotations

from random import Random

from rtcli.load.adapters import Opening
from rtcli.load.scenario.expressions import Scope
from rtcli.load.scenario.model import Role, Scenario
from rtcli.load.scenario.steps import BackoffStep, Connect, Disconnect, KillStep, Resume
from rtcli.load.users.flow.runner import GOODBYE_S, Flow


async def connect(flow: Flow, step: Connect) -> None:
    """Open the connection; if that fails, try again as the role's `reconnect` says."""
    context = flow.context
    opening = make_opening(
        flow.worker.scenario, context.role, step, context.scope, context.rng, token=context.token()
    )
    flow.out_of_reach.hold_up()
    since = flow.worker.now()
    await flow.user.connect(opening, step.timeout)
    flow.was_answered(since)


def make_opening(
    scenario: Scenario, role: Role, step: Connect, scope: Scope, rng: Random, *, token: str | None
) -> Opening:
    """What a user of the role opens its connection with. Raises MissingDataError."""
    target = scenario.target
    path = step.path or (target.path if scenario.protocol_of(role) == target.protocol else None)
    headers = {**target.headers, **step.headers}
    return Opening(
        token=token,
        path=None if path is None else path.render_path(scope, rng),
        headers={name: value.render(scope, rng) for name, value in headers.items()},
        rooms=[room.render(scope, rng) for room in step.rooms],
        events=step.events,
    )


async def disconnect(flow: Flow, step: Disconnect) -> None:
    """Close as the protocol wants it. Who is not connected is not away with leave by that."""
    if flow.user.connected:
        flow.user.presence.asked_away(flow.worker.now())
    await flow.user.finish(step.code, step.reason, GOODBYE_S)


async def kill(flow: Flow, step: KillStep) -> None:
    """Lose the connection. Who is not connected is not away with leave by that."""
    if flow.user.connected:
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
