"""Checks of a whole scenario whose parts are valid: names, flows that cannot work, too little data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random

from rtcli.load.scenario.expressions import BUILTINS, MissingDataError, Path, paths_in
from rtcli.load.scenario.flow_checks import check_flow
from rtcli.load.scenario.grammar.context import ReadContext, Reference
from rtcli.load.scenario.model import Feeder, Role, Target
from rtcli.load.scenario.nodes import Diagnostic, did_you_mean
from rtcli.load.scenario.steps import Wait, walk

MAX_CHECKED_ROWS = 10_000
_USER_FIELDS = ("number", "name", "id")


def check_scenario(
    roles: Mapping[str, Role], data: Mapping[str, Feeder], target: Target
) -> Iterator[Diagnostic]:
    """Everything that cannot work, although each part of the scenario is valid."""
    for role in roles.values():
        if role.protocol == "json" and target.frames is None:
            yield _of_role(role, "`protocol: json` needs `target: frames:`")
        publishes = target.protocol == "rtcli" or target.publish is not None
        for found in check_flow(role, role.protocol or target.protocol, publishes=publishes):
            yield replace(found, text=f"role {role.name!r}: {found.text}")
        yield from _check_columns(role, data)
    yield from _check_unique(roles, data)
    yield from _check_barriers(roles)


def _of_role(role: Role, text: str) -> Diagnostic:
    return Diagnostic.at(role.location, f"role {role.name!r}: {text}")


def _check_columns(role: Role, data: Mapping[str, Feeder]) -> Iterator[Diagnostic]:
    for path in sorted(paths_in(role)):
        feeder = data.get(path[0])
        if feeder is None or (feeder.lorem is not None and len(path) == 1):
            continue
        text = _column_problem(path, feeder)
        if text:
            yield _of_role(role, text)


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


def _check_unique(roles: Mapping[str, Role], data: Mapping[str, Feeder]) -> Iterator[Diagnostic]:
    for name, feeder in data.items():
        if feeder.pick != "unique":
            continue
        users = 0
        for role in roles.values():
            if not any(path[0] == name for path in paths_in(role)):
                continue
            if role.users is None:
                yield _of_role(role, f"{name!r} has a row for each user once, and users keep coming")
            users += role.users or 0
            if users > len(feeder.rows):
                yield Diagnostic.at(
                    role.location, f"{name!r} has {len(feeder.rows)} rows for {users} users (`pick: unique`)"
                )
                break


def _check_barriers(roles: Mapping[str, Role]) -> Iterator[Diagnostic]:
    total = sum(role.users or 0 for role in roles.values())
    if any(role.arrivals for role in roles.values()):
        return
    for step in _waits(roles.values()):
        if step.users > total:
            yield Diagnostic.at(
                step.location,
                f"the barrier {step.barrier!r} waits for {step.users} users, and there are {total}",
            )


def _waits(roles: Iterable[Role]) -> Iterator[Wait]:
    for role in roles:
        yield from (step for step in walk(role.flow) if isinstance(step, Wait))


def check_references(context: ReadContext) -> None:
    """Report each name that is used and not defined, and data with the name of a built-in value."""
    defined: dict[str, set[str]] = {}
    for node, kind, name in context.definitions:
        defined.setdefault(kind, set()).add(name)
        if kind == "name" and name in BUILTINS:
            context.report(node, f"{name!r} is a built-in name ({BUILTINS[name]})")
    for reference in context.references:
        problem = _reference_problem(reference, defined)
        if problem:
            context.report(reference.node, problem)


def _reference_problem(reference: Reference, defined: Mapping[str, Collection[str]]) -> str:
    if reference.kind in {"role", "phase"}:
        return _unknown(f"there is no {reference.kind} ", reference.name, defined.get(reference.kind, ()))
    if reference.kind == "signal":
        return _unknown("nobody gives the signal ", reference.name, defined.get("signal", ()))
    if reference.kind == "name" and reference.name not in reference.local:
        return _name_problem(reference, defined)
    return ""


def _name_problem(reference: Reference, defined: Mapping[str, Collection[str]]) -> str:
    shown = "${" + ".".join(reference.path) + "}: "
    known = {*defined.get("name", ()), *BUILTINS, *reference.local}
    if reference.name not in known:
        return _unknown(shown + "there is no ", reference.name, known)
    field = reference.path[1] if len(reference.path) > 1 else ""
    if reference.name == "user":
        return _unknown(shown + "a user has no ", field, _USER_FIELDS)
    if reference.name == "session":
        return _unknown(shown + "nothing captures ", field, defined.get("capture", ()))
    if field and reference.name in BUILTINS:
        return f"{shown}{reference.name} has no parts"
    return ""


def _unknown(text: str, name: str, known: Collection[str]) -> str:
    if name in known:
        return ""
    rest = did_you_mean(name, known) or (f"; there are: {', '.join(sorted(known))}" if known else "")
    return f"{text}{name!r}{rest}"
