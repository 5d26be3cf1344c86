"""Parses text with `${...}` into a `Template`; the grammar is described in `expressions`."""

from __future__ import annotations

import re

from rtcli.load.scenario.expressions import FUNCTIONS, Call, Literal, Node, Path, Template


class ExpressionError(ValueError):
    """The text is not a template. `offset` is the place of the mistake, in characters."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|'([^']*)'|([A-Za-z_][\w-]*(?:\.[\w-]+)*)|([(),}]))", re.ASCII)
_MAX_DEPTH = 16


class _Parser:
    """A recursive-descent parser of one `${...}`; `position` is the next character to read."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.position = start

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            rest = self.text[self.position : self.position + 12]
            raise ExpressionError(
                f"expected a name, a number or '}}' at {rest!r}" if rest else "no closing }", self.position
            )
        self.position = match.end()
        kind = ("number", "string", "name", "sign")[(match.lastindex or 1) - 1]
        return kind, match[match.lastindex or 0]

    def expression(self, depth: int = 0) -> Node:
        start = self.position
        if depth > _MAX_DEPTH:
            raise ExpressionError("too deeply nested", start)
        kind, value = self._next()
        if kind == "number":
            return Literal(float(value) if "." in value else int(value))
        if kind == "string":
            return Literal(value)
        if kind == "sign":
            raise ExpressionError(f"expected a name before {value!r}", start)
        if self.text[self.position : self.position + 1] == "(":
            return self._call(value, start, depth)
        return Path(tuple(value.split(".")))

    def _call(self, name: str, start: int, depth: int) -> Call:
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExpressionError(f"there is no function {name!r}; there are: {', '.join(FUNCTIONS)}", start)
        self.position += 1
        arguments: list[Node] = []
        if self.text[self.position :].lstrip().startswith(")"):
            self._next()
        else:
            arguments = self._arguments(depth)
        if not function.min_arguments <= len(arguments) <= function.max_arguments:
            raise ExpressionError(f"{len(arguments)} arguments do not fit {function.help}", start)
        return Call(name, tuple(arguments))

    def _arguments(self, depth: int) -> list[Node]:
        arguments = [self.expression(depth + 1)]
        while (sign := self._next()[1]) != ")":
            if sign != ",":
                raise ExpressionError(f"expected ',' or ')' instead of {sign!r}", self.position - len(sign))
            arguments.append(self.expression(depth + 1))
        return arguments

    def expect_end(self) -> None:
        kind, value = self._next()
        if (kind, value) != ("sign", "}"):
            raise ExpressionError(f"expected }} instead of {value!r}", self.position - len(value))


def parse_template(text: str) -> Template:
    """Parse text with `${...}`. Raises `ExpressionError`."""
    parts: list[str | Node] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        if text.startswith("$$", dollar):
            parts.append("$")
            position = dollar + 2
        elif text.startswith("${", dollar):
            parser = _Parser(text, dollar + 2)
            parts.append(parser.expression())
            parser.expect_end()
            position = parser.position
        else:
            parts.append("$")
            position = dollar + 1
    parts.append(text[position:])
    return Template(text, tuple(part for part in parts if part != ""))
