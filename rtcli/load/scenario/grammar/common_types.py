"""Kinds of values that many fields of a scenario share: times, rates, rooms, headers, names."""

from __future__ import annotations

from rtcli.load.scenario import steps
from rtcli.load.scenario.grammar.context import Reading, Reference, Schema
from rtcli.load.scenario.grammar.field_types import NAME, OneOf, Parsed, Text, TextTemplate, Whole, words
from rtcli.load.scenario.grammar.scalars import parse_backoff, parse_distribution, parse_time
from rtcli.load.scenario.grammar.sections import MapOf
from rtcli.load.scenario.nodes import Node
from rtcli.units import DURATION_PATTERN, parse_rate

DURATION = Parsed(parse_time, "a duration, like 500ms, 10s or 2m", DURATION_PATTERN)
TIMEOUT = Parsed(parse_time, "a duration, like 500ms, 10s or 2m", DURATION_PATTERN, positive=True)
TIME = Parsed(parse_distribution, "a time, like 3s or uniform(3s, 8s)")
RATE = Parsed(parse_rate, "a rate, like 2/s or 30/m", r"^\d+(\.\d+)? ?/ ?(s|m|h)$", positive=True)
BACKOFF = Parsed(parse_backoff, "a back-off, like exp(250ms..5s)")
TEXT = TextTemplate()
ROOM = TextTemplate("the name of a room")
PATH = Text("a path, like data.room", r"[\w~-]+(\.[\w~-]+)*")
HEADERS = MapOf(
    Text("the name of a header", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), TEXT, what="a mapping of headers"
)
KILL = OneOf({kind.value: kind for kind in steps.Kill})
_CAPTURE = MapOf(NAME, PATH, what="a mapping of names to paths")


RECOVERY = words("any", "recovered", "fresh")
CLOSE_CODE = Whole(1000, 4999)


class Defines:
    """A name that is defined by being used here."""

    def __init__(self, what: str) -> None:
        self.what = what

    def read(self, node: Node, reading: Reading) -> str:
        """The name; it is now known."""
        name: str = NAME.read(node, reading)
        reading.references.append(Reference(node, self.what, name))
        return name

    def schema(self) -> Schema:
        """A name."""
        return NAME.schema()


class Captures:
    """`capture`: names that are then known as ${session.name}."""

    def read(self, node: Node, reading: Reading) -> dict[str, str]:
        """Read them, and remember that they are defined."""
        found: dict[str, str] = _CAPTURE.read(node, reading)
        reading.references.extend(Reference(node, "captured", name) for name in found)
        return found

    def schema(self) -> Schema:
        """Names to paths."""
        return _CAPTURE.schema()
