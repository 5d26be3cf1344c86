"""What a scenario can get wrong although each part is right: flows that cannot work, too little data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from random import Random

from rtcli.load.scenario.expressions import BUILTINS, MissingDataError, Path, paths
from rtcli.load.scenario.flow_checks import Problem, check_flow
from rtcli.load.scenario.grammar.context import Reading, Reference
from rtcli.load.scenario.model import Feeder, Role, Target
from rtcli.load.scenario.nodes import did_you_mean
from rtcli.load.scenario.steps import Location, Wait, walk

MAX_CHECKED_ROWS = 10_000
_USER_FIELDS = ("number", "name", "id")


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


def check_references(reading: Reading) -> None:
    """Note a mistake for each name that is used and not defined, and for data that hides a built-in name."""
    defined: dict[str, set[str]] = {}
    for reference in reading.references:
        defined.setdefault(reference.what, set()).add(reference.name)
        if reference.what == "a name" and reference.name in BUILTINS:
            reading.note(
                reference.node, f"{reference.name!r} is a built-in name ({BUILTINS[reference.name]})"
            )
    for reference in reading.references:
        problem = _problem(reference, defined)
        if problem:
            reading.note(reference.node, problem)


def _problem(reference: Reference, defined: dict[str, set[str]]) -> str:
    if reference.what in {"role", "phase"}:
        return _unknown(
            f"there is no {reference.what} ", reference.name, defined.get(f"a {reference.what}", ())
        )
    if reference.what == "signal":
        return _unknown("nobody gives the signal ", reference.name, defined.get("given_signal", ()))
    if reference.what == "name" and reference.name not in reference.local:
        return _name_problem(reference, defined)
    return ""


def _name_problem(reference: Reference, defined: dict[str, set[str]]) -> str:
    shown = "${" + ".".join(reference.path) + "}: "
    known = {*defined.get("a name", ()), *BUILTINS, *reference.local}
    if reference.name not in known:
        return _unknown(shown + "there is no ", reference.name, known)
    field = reference.path[1] if len(reference.path) > 1 else ""
    if reference.name == "user":
        return _unknown(shown + "a user has no ", field, _USER_FIELDS)
    if reference.name == "session":
        return _unknown(shown + "nothing captures ", field, defined.get("captured", ()))
    if field and reference.name in BUILTINS:
        return f"{shown}{reference.name} has no parts"
    return ""


def _unknown(text: str, name: str, known: Collection[str]) -> str:
    if name in known:
        return ""
    rest = did_you_mean(name, known) or (f"; there are: {', '.join(sorted(known))}" if known else "")
    return f"{text}{name!r}{rest}"
