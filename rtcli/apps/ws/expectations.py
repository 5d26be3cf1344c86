"""What has to come: texts, values in JSON, a number of messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from rtcli.client.raw.frames import Message
from rtcli.errors import CliError
from rtcli.json_path import as_text, lookup


@dataclass(frozen=True, slots=True)
class TextExpectation:
    """A message with this text in it."""

    text: str

    def matches(self, message: Message) -> bool:
        """Whether it is this one."""
        return self.text in (message.text or "")

    def __str__(self) -> str:
        return f"--expect {self.text!r}"


@dataclass(frozen=True, slots=True)
class JsonExpectation:
    """A message that is JSON, and has this value at this path."""

    path: str
    value: str

    def matches(self, message: Message) -> bool:
        """Whether it is this one."""
        try:
            tree = msgspec.json.decode(message.payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return as_text(lookup(tree, self.path)) == self.value

    def __str__(self) -> str:
        return f"--expect-json {self.path}={self.value}"


Expectation = TextExpectation | JsonExpectation


def read_expectations(texts: Sequence[str], paths: Sequence[str]) -> tuple[Expectation, ...]:
    """Read the values of `--expect` and `--expect-json`. Raises CliError (2)."""
    found: list[Expectation] = [TextExpectation(text) for text in texts]
    for given in paths:
        path, equals, value = given.partition("=")
        if not path or not equals:
            raise CliError(f"--expect-json {given!r} is not PATH=VALUE", hint="--expect-json data.status=ok")
        found.append(JsonExpectation(path, value))
    return tuple(found)


class Wanted:
    """What is still wanted of the server's messages: each expectation once, and `count` messages."""

    def __init__(self, expectations: Sequence[Expectation] = (), count: int | None = None) -> None:
        self._missing = list(expectations)
        self._expects = bool(expectations)
        self._count = count
        self.seen = 0

    @property
    def is_anything(self) -> bool:
        """Whether something was wanted at all."""
        return self._expects or self._count is not None

    def see(self, message: Message) -> None:
        """Take a message of the server."""
        self.seen += 1
        self._missing = [expected for expected in self._missing if not expected.matches(message)]

    @property
    def is_met(self) -> bool:
        """Whether all of it came. What is expected may come before the count is reached."""
        if self._expects:
            return not self._missing
        return self._count is not None and self.seen >= self._count

    @property
    def is_over(self) -> bool:
        """Whether it is decided: met, or as many messages came as may."""
        return self.is_met or (self._count is not None and self.seen >= self._count)

    @property
    def problem(self) -> str:
        """What has not come, in words."""
        if self._missing:
            return f"nothing came for {self._missing[0]}"
        return f"{self.seen} of {self._count} messages came"
