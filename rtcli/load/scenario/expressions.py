"""Text with `${...}` in it: paths into a user's data, and a few pure functions. There is no code.

    room-${mod(user.number, 20)}     ${text}     ${user.name}     ${pad(user.number, 6)}

Grammar: `${` expression `}`; an expression is a path (`name.name`), a number, a 'quoted string', or
`function(expression, ...)`. `$$` is a dollar sign. A text is parsed once, when the scenario is loaded, so
that every diagnostic is known before the first connection; rendering can then only fail on data (a key that a
JSON feeder does not have).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from random import Random
from urllib.parse import quote

from typing_extensions import override

from rtcli.protocol.rooms import nfc

Scope = Mapping[str, object]
"""What names mean for one user at one moment: feeders by name, and the built-in names of `BUILTINS`."""

BUILTINS: Mapping[str, str] = {
    "user": "number (from 0, over the whole run), name, id (the token's sub)",
    "role": "the name of the user's role",
    "phase": "the name of the phase that runs now",
    "loop": "how often the innermost loop has started, from 1",
    "session": "what `expect` and `http` captured, by name",
    "run": "a word that differs in each run",
}


_IN_PATH = "/?:@!$&'()*+,;=~-._%[]"  # what the text itself may have: RFC 3986, 3.3 and 3.4, and brackets


class MissingDataError(LookupError):
    """The data of this user does not have what an expression needs.

    `captured`: it uses what was captured of the server's answers, so the server may be the reason.
    """

    def __init__(self, text: str, *, captured: bool = False) -> None:
        super().__init__(text)
        self.captured = captured


@dataclass(frozen=True, slots=True)
class Path:
    """`name.name...`: a name in the scope and keys (or indices) below it."""

    parts: tuple[str, ...]

    def evaluate(self, scope: Scope, rng: Random) -> object:  # noqa: ARG002 - one signature for all nodes
        """Look the parts up one after another. Raises `MissingDataError` with the missing part."""
        value: object = scope
        for part in self.parts:
            value = _step_into(value, part, ".".join(self.parts))
        return value


def _step_into(value: object, part: str, path: str) -> object:
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and part.isdecimal()
        and int(part) < len(value)
    ):
        return value[int(part)]
    msg = f"${{{path}}}: there is no {part!r}"
    raise MissingDataError(msg, captured=path.startswith("session."))


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a quoted string."""

    value: str | float

    def evaluate(self, scope: Scope, rng: Random) -> object:  # noqa: ARG002 - one signature for all nodes
        """The value itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS` and its arguments."""

    name: str
    arguments: tuple[Node, ...]

    def evaluate(self, scope: Scope, rng: Random) -> object:
        """Evaluate the arguments, then the function. Raises `MissingDataError` when they do not fit it."""
        values = [argument.evaluate(scope, rng) for argument in self.arguments]
        try:
            return FUNCTIONS[self.name].apply(rng, *values)
        except (TypeError, ValueError, ArithmeticError) as error:
            msg = f"${{{self.name}(...)}} cannot use {values}: {error}"
            raise MissingDataError(msg, captured=_uses_captures(self)) from None


Node = Path | Literal | Call


def _uses_captures(node: Node) -> bool:
    if isinstance(node, Call):
        return any(map(_uses_captures, node.arguments))
    return isinstance(node, Path) and node.parts[0] == "session"


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how many arguments it takes, its help text, and its body."""

    min_arguments: int
    max_arguments: int
    help: str
    apply: Callable[..., object]


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return value
    return float(str(value))


def _int(value: object) -> int:
    return int(_number(value))


FUNCTIONS: Mapping[str, Function] = {
    "add": Function(2, 2, "add(a, b): the sum", lambda _rng, a, b: _number(a) + _number(b)),
    "mod": Function(2, 2, "mod(a, n): the rest of a divided by n", lambda _rng, a, n: _int(a) % _int(n)),
    "pad": Function(
        2, 2, "pad(a, n): with zeros in front to n digits", lambda _rng, a, n: _text(a).zfill(_int(n))
    ),
    "upper": Function(1, 1, "upper(text)", lambda _rng, a: _text(a).upper()),
    "lower": Function(1, 1, "lower(text)", lambda _rng, a: _text(a).lower()),
    "int": Function(
        2, 2, "int(a, b): a whole number from a to b", lambda rng, a, b: rng.randint(_int(a), _int(b))
    ),
    "pick": Function(1, 64, "pick(a, b, ...): one of them", lambda rng, *options: rng.choice(options)),
    "uuid": Function(
        0, 0, "uuid(): a random UUID", lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4))
    ),
}


def _text(value: object) -> str:
    """A value as text: 3.0 is `3`, true is `true`, None is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Template:
    """Parsed text. `str(template)` is the text as the scenario has it."""

    source: str
    parts: tuple[str | Node, ...]

    def __str__(self) -> str:
        return self.source

    @property
    def constant(self) -> str | None:
        """The text if it has no expressions; else None."""
        return "".join(map(str, self.parts)) if all(isinstance(part, str) for part in self.parts) else None

    @property
    def paths(self) -> Iterator[tuple[str, ...]]:
        """The paths that the template looks up."""
        pending = [part for part in self.parts if not isinstance(part, str)]
        while pending:
            node = pending.pop(0)
            if isinstance(node, Path):
                yield node.parts
            elif isinstance(node, Call):
                pending[:0] = node.arguments

    def render(self, scope: Scope, rng: Random) -> str:
        """The text for one user now. Raises `MissingDataError`."""
        return "".join(
            part if isinstance(part, str) else _text(part.evaluate(scope, rng)) for part in self.parts
        )

    def render_path(self, scope: Scope, rng: Random) -> str:
        """The text as path and query of a request: it begins with `/`, and nothing in it names another host.

        What expressions yield is percent-encoded, so that it stays within its segment or parameter; only an
        expression that is the whole text yields a whole path. Raises `MissingDataError`.
        """
        whole = len(self.parts) == 1
        path = "".join(
            quote(part, safe=_IN_PATH)
            if isinstance(part, str)
            else quote(_text(part.evaluate(scope, rng)), safe=_IN_PATH if whole else "", errors="replace")
            for part in self.parts
        )
        return path if path.startswith("/") else f"/{path}"


class RoomTemplate(Template):
    """The name of a room. It is sent in NFC, as all clients of this project do (protocol.md, section 1)."""

    __slots__ = ()

    @property
    @override
    def constant(self) -> str | None:
        name = super().constant
        return None if name is None else nfc(name)

    @override
    def render(self, scope: Scope, rng: Random) -> str:
        return nfc(super().render(scope, rng))


def render_tree(tree: object, scope: Scope, rng: Random) -> object:
    """A tree of mappings and sequences with its templates rendered. Raises `MissingDataError`."""
    if isinstance(tree, Template):
        return tree.render(scope, rng)
    if isinstance(tree, Mapping):
        return {key: render_tree(value, scope, rng) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [render_tree(value, scope, rng) for value in tree]
    return tree


def _templates(value: object) -> Iterator[Template]:
    """Every template inside a value of the model."""
    if isinstance(value, Template):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _templates(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _templates(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _templates(getattr(value, field.name))


def paths_in(value: object) -> set[tuple[str, ...]]:
    """Every path that the templates inside a value look up."""
    return {path for template in _templates(value) for path in template.paths}
