"""Checks that every name that a scenario uses is defined in it: roles, phases, data, signals, captures."""

from __future__ import annotations

from collections.abc import Collection

from rtcli.load.metrics.units import closest
from rtcli.load.scenario.expressions import BUILTINS
from rtcli.load.scenario.grammar.context import Reading, Reference

_USER_FIELDS = ("number", "name", "id")


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
    rest = closest(name, known) or (f"; there are: {', '.join(sorted(known))}" if known else "")
    return f"{text}{name!r}{rest}"
