"""Follows a flow as a user would, to find steps that cannot work in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rtcli.load.scenario import steps
from rtcli.load.scenario.expressions import Template
from rtcli.load.scenario.model import STREAM_ENDS, Role, close_name
from rtcli.load.scenario.nodes import Diagnostic
from rtcli.load.scenario.protocols import transport_of
from rtcli.protocol.rooms import is_valid_room

_NEEDS_CONNECTION = (
    steps.Join,
    steps.Leave,
    steps.Send,
    steps.Typing,
    steps.Expect,
    steps.Hold,
    steps.Disconnect,
    steps.KillStep,
)
_NOT_ON_STREAMS = (steps.Join, steps.Leave, steps.Typing)
_TAKES_NO_TIME = (steps.Log, steps.Signal, steps.Typing, steps.Choose)


@dataclass(slots=True)
class _State:
    """What is known of a user before a step of the flow."""

    stream: bool  # an event stream, which only receives
    rtcli_rooms: bool  # rooms have the names and members that our own server allows
    publishes: bool  # users of event streams can publish by HTTP
    connected: bool = False
    ever: bool = False  # has been connected before
    rooms: dict[str, Template] = field(default_factory=dict)


def check_flow(role: Role, protocol: str, *, publishes: bool) -> Iterator[Diagnostic]:
    """What cannot work in a role's flow, in the order of the steps.

    `publishes`: users of event streams can publish by HTTP. Raises AdapterError for an unknown protocol.
    """
    state = _State(transport_of(protocol) == "sse", protocol in {"rtcli", "sse"}, publishes)
    yield from _check_close_codes(role, stream=state.stream)
    found = list(_check_steps(role.flow, state))
    yield from found
    if not found and not any(
        isinstance(step, steps.Connect | steps.Http) or (state.stream and isinstance(step, steps.Send))
        for step in steps.walk(role.flow)
    ):
        yield Diagnostic.at(role.location, "its flow never connects")
    if role.arrivals is not None and role.stay is None and _is_endless(role.flow):
        yield Diagnostic.at(
            role.location, "users keep arriving and never go: give it `stay`, or an end to its flow"
        )


def _check_close_codes(role: Role, *, stream: bool) -> Iterator[Diagnostic]:
    codes = sorted(code for code in role.expect_close if (code in STREAM_ENDS) is not stream)
    if codes and stream:
        ends = " or ".join(map(repr, STREAM_ENDS.values()))
        yield Diagnostic.at(role.location, f"an event stream has no close code {codes[0]}: its end is {ends}")
    elif codes:
        yield Diagnostic.at(role.location, f"{close_name(codes[0])!r} is the end of an event stream")


def _check_steps(flow: tuple[steps.Step, ...], state: _State) -> Iterator[Diagnostic]:
    for position, step in enumerate(flow):
        yield from _check_step(step, state)
        if position + 1 < len(flow) and _is_endless((step,)):
            yield Diagnostic.at(
                flow[position + 1].location, f"nothing comes after {_name(step)}, which never ends"
            )


def _name(step: steps.Step) -> str:
    return repr(step.label.rpartition(".")[2])


def _is_endless(flow: tuple[steps.Step, ...]) -> bool:
    """Whether the last step goes on to the end of the user's stay."""
    last = flow[-1]
    if isinstance(last, steps.Hold):
        return last.time is None
    if isinstance(last, steps.Loop):
        return last.times is None and last.time is None
    return (
        isinstance(last, steps.Send | steps.Typing)
        and last.rate is not None
        and last.count is None
        and last.time is None
    )


def _check_step(step: steps.Step, state: _State) -> Iterator[Diagnostic]:
    if state.stream and isinstance(step, _NOT_ON_STREAMS):
        yield Diagnostic.at(
            step.location, f"{_name(step)} is not possible on an event stream; `connect` names its rooms"
        )
    elif state.stream and isinstance(step, steps.Send):
        if not state.publishes:
            yield Diagnostic.at(step.location, "'send' on an event stream needs `target: publish:`")
    elif isinstance(step, _NEEDS_CONNECTION) and not state.connected:
        yield Diagnostic.at(step.location, f"{_name(step)} needs a connection: put 'connect' before it")
        state.connected = state.ever = True  # report a missing connection once
    elif isinstance(step, steps.Connect) and state.connected:
        yield Diagnostic.at(step.location, "'connect' while connected: put 'disconnect' or 'kill' before it")
    elif isinstance(step, steps.Resume) and (state.connected or not state.ever):
        yield Diagnostic.at(
            step.location, "'resume' needs a connection that was lost: put 'kill' or 'disconnect' before it"
        )
    yield from _check_rooms(step, state)
    if isinstance(step, steps.Loop):
        yield from _check_loop(step, state)
    elif isinstance(step, steps.Choose):
        yield from _check_choices(step, state)
    _apply(step, state)


def _apply(step: steps.Step, state: _State) -> None:
    if isinstance(step, steps.Connect | steps.Resume):
        state.connected = state.ever = True
    elif isinstance(step, steps.Disconnect | steps.KillStep):
        state.connected = False
    if isinstance(step, steps.Connect | steps.Disconnect):
        state.rooms.clear()
    elif isinstance(step, steps.Join):
        state.rooms[str(step.room)] = step.room
    elif isinstance(step, steps.Leave):
        state.rooms.pop(str(step.room), None)


def _check_rooms(step: steps.Step, state: _State) -> Iterator[Diagnostic]:
    rooms = step.rooms if isinstance(step, steps.Connect) else ()
    if isinstance(step, steps.Join | steps.Leave | steps.Send | steps.Typing):
        rooms = (step.room,)
    if not state.rtcli_rooms:
        return
    for room in rooms:
        name = room.constant
        if name is not None and not is_valid_room(name):
            yield Diagnostic.at(step.location, f"{name!r} cannot be the name of a room")
        elif state.stream and isinstance(step, steps.Send):
            continue  # by HTTP; whoever may, may from outside
        elif isinstance(step, steps.Leave | steps.Send | steps.Typing) and not _may_be_in(room, state):
            yield Diagnostic.at(
                step.location, f"{_name(step)}: only a member may; put {{ join: {room} }} before it"
            )


def _may_be_in(room: Template, state: _State) -> bool:
    if str(room) in state.rooms:
        return True
    varies = room.constant is None
    return any(varies or joined.constant is None for joined in state.rooms.values())


def _check_loop(loop: steps.Loop, state: _State) -> Iterator[Diagnostic]:
    before = state.connected
    first = list(_check_steps(loop.steps, state))
    yield from first
    if before and not state.connected and not isinstance(loop.steps[0], steps.Connect | steps.Resume):
        again = "Each round ends without a connection and the next begins with one"
        yield Diagnostic.at(loop.location, f"{again}: end it with 'resume', or begin it with 'connect'")
    elif loop.times != 1:  # in the next round, a user is in the rooms in which this one has left it
        second = _check_steps(loop.steps, replace(state, rooms=dict(state.rooms)))
        yield from (found for found in second if found not in first)
    if loop.times is None and all(_takes_no_time(step) for step in loop.steps):
        yield Diagnostic.at(loop.location, "a loop without any pause: put { think: 1s } into it")


def _takes_no_time(step: steps.Step) -> bool:
    if isinstance(step, steps.Send):
        return step.rate is None and not step.ack
    return isinstance(step, _TAKES_NO_TIME) and getattr(step, "rate", None) is None


def _check_choices(step: steps.Choose, state: _State) -> Iterator[Diagnostic]:
    """Each branch starts from the same state; afterwards, a user is in the rooms of any branch."""
    ends: list[_State] = []
    for choice in step.choices:
        branch = replace(state, rooms=dict(state.rooms))
        yield from _check_steps(choice.steps, branch)
        ends.append(branch)
    if any(end.connected != ends[0].connected for end in ends):
        yield Diagnostic.at(
            step.location, "some ways of 'choose' end with a connection and others without one"
        )
    state.connected, state.ever = ends[0].connected, ends[0].ever
    state.rooms = {name: room for end in ends for name, room in end.rooms.items()}
