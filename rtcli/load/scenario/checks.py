"""What a scenario can get wrong although each part is right: flows that cannot work, too little data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from random import Random

from rtcli.load.scenario.expressions import MissingDataError, Path, Template
from rtcli.load.scenario.flow_checks import Problem, check_flow
from rtcli.load.scenario.model import Feeder, Role, Target
from rtcli.load.scenario.steps import Location, Wait, walk

MAX_CHECKED_ROWS = 10_000


def templates(value: object) -> Iterator[Template]:
    """Every template inside a value of the model."""
    if isinstance(value, Template):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from templates(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from templates(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from templates(getattr(value, field.name))


def paths(value: object) -> set[tuple[str, ...]]:
    """Every path that the templates inside a value look up."""
    return {path for template in templates(value) for path in template.names}


def check_scenario(
    roles: Mapping[str, Role],
    data: Mapping[str, Feeder],
    target: Target,
    note: Callable[[Location | None, str], None],
) -> None:
    """Call `note` with a place and a text for everything that cannot work."""
    for role in roles.values():
        if role.protocol == "json" and target.frames is None:
            note(role.location, f"role {role.name!r}: `protocol: json` needs `target: frames:`")
        publishes = target.protocol == "rtcli" or target.publish is not None
        for problem in check_flow(role, role.protocol or target.protocol, publishes=publishes):
            note(problem.location or role.location, f"role {role.name!r}: {problem.text}")
        for problem in _check_columns(role, data):
            note(problem.location, problem.text)
    for problem in (*_check_unique(roles, data), *_check_barriers(roles)):
        note(problem.location, problem.text)


def _check_columns(role: Role, data: Mapping[str, Feeder]) -> Iterator[Problem]:
    for path in sorted(paths(role)):
        feeder = data.get(path[0])
        if feeder is None or (feeder.lorem is not None and len(path) == 1):
            continue
        text = _column_problem(path, feeder)
        if text:
            yield Problem(role.location, f"role {role.name!r}: {text}")


def _column_problem(path: tuple[str, ...], feeder: Feeder) -> str:
    for row in feeder.rows[:MAX_CHECKED_ROWS] or ("",):
        try:
            value = Path(path).evaluate({path[0]: row}, Random(0))  # noqa: S311 - nothing is drawn
        except MissingDataError as error:
            known = f"; it has: {', '.join(map(str, row))}" if isinstance(row, Mapping) else ""
            return f"{error} in the data{known}"
        if isinstance(value, Mapping | list):
            return f"${{{'.'.join(path)}}} is not a single value: name one of its parts"
    return ""


def _check_unique(roles: Mapping[str, Role], data: Mapping[str, Feeder]) -> Iterator[Problem]:
    for name, feeder in data.items():
        if feeder.pick != "unique":
            continue
        users = 0
        for role in roles.values():
            if not any(path[0] == name for path in paths(role)):
                continue
            if role.users is None:
                yield Problem(
                    role.location,
                    f"role {role.name!r}: {name!r} has a row for each user once, and users keep coming",
                )
            users += role.users or 0
            if users > len(feeder.rows):
                yield Problem(
                    role.location, f"{name!r} has {len(feeder.rows)} rows for {users} users (`pick: unique`)"
                )
                break


def _check_barriers(roles: Mapping[str, Role]) -> Iterator[Problem]:
    total = sum(role.users or 0 for role in roles.values())
    if any(role.arrivals for role in roles.values()):
        return
    for step in _waits(roles.values()):
        if step.users > total:
            yield Problem(
                step.location,
                f"the barrier {step.barrier!r} waits for {step.users} users, and there are {total}",
            )


def _waits(roles: Iterable[Role]) -> Iterator[Wait]:
    for role in roles:
        yield from (step for step in walk(role.flow) if isinstance(step, Wait))
