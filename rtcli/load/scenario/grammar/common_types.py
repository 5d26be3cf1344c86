"""Types that fields of several sections share: times, rates, rooms, headers, protocols, JSON."""

from __future__ import annotations

from rtcli.load.scenario import model, steps
from rtcli.load.scenario.expressions import RoomTemplate
from rtcli.load.scenario.grammar.context import FieldError, ReadContext, Schema, scalar, shorten
from rtcli.load.scenario.grammar.field_types import NAME, Choice, Integer, Parsed, TemplateText, Text
from rtcli.load.scenario.grammar.scalars import (
    parse_attendance,
    parse_backoff,
    parse_distribution,
    parse_share,
    parse_time,
)
from rtcli.load.scenario.grammar.sections import MapOf
from rtcli.load.scenario.nodes import MappingNode, Node, SequenceNode, did_you_mean, plain_value
from rtcli.load.scenario.protocols import BUILT_IN, AdapterError, protocol_names, transport_of
from rtcli.units import DURATION_PATTERN, parse_rate

DURATION = Parsed(parse_time, "a duration, like 500ms, 10s or 2m", DURATION_PATTERN)
TIMEOUT = Parsed(parse_time, "a duration, like 500ms, 10s or 2m", DURATION_PATTERN, positive=True)
TIME = Parsed(parse_distribution, "a time, like 3s or uniform(3s, 8s)")
RATE = Parsed(parse_rate, "a rate, like 2/s or 30/m", r"^\d+(\.\d+)? ?/ ?(s|m|h)$", positive=True)
SHARE = Parsed(parse_share, "a share, like 50%", r"^\d+(\.\d+)? ?%$")
BACKOFF = Parsed(parse_backoff, "a back-off, like exp(250ms..5s)")
ATTENDANCE = Parsed(parse_attendance, "a share, like 99%, or off", r"^(off|\d+(\.\d+)? ?%)$")
TEXT = TemplateText()
ROOM = TemplateText("the name of a room", RoomTemplate)
PATH = Text("a path, like data.room", r"[\w~-]+(\.[\w~-]+)*")
HEADERS = MapOf(
    Text("the name of a header", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), TEXT, expected="a mapping of headers"
)
KILL = Choice({kind.value: kind for kind in steps.Kill})
RECOVERY = Choice.of("any", "recovered", "fresh")
CLOSE_CODE = Integer(1000, 4999)
HTTP_STATUS = Integer(100, 599)


class CloseName:
    """A close code; of an event stream `stream_ended`, or `stream_broken` when it broke off."""

    def read(self, node: Node, context: ReadContext) -> int:
        """The code."""
        text = scalar(node, "a close code").text
        ends = {name: code for code, name in model.STREAM_ENDS.items()}
        return ends[text] if text in ends else CLOSE_CODE.read(node, context)

    def schema(self) -> Schema:
        """A number, or one of the words."""
        return {"anyOf": [CLOSE_CODE.schema(), {"enum": [*model.STREAM_ENDS.values()]}]}


_CAPTURE = MapOf(NAME, PATH, expected="a mapping of names to paths")


class DefinitionOf:
    """A name that the file defines by writing it here."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def read(self, node: Node, context: ReadContext) -> str:
        """The name, recorded as defined."""
        name: str = NAME.read(node, context)
        context.define(node, self.kind, name)
        return name

    def schema(self) -> Schema:
        """A name."""
        return NAME.schema()


class Captures:
    """`capture`: names that `${session.name}` can use from then on, and the paths of their values."""

    def read(self, node: Node, context: ReadContext) -> dict[str, str]:
        """Names to paths; the names are recorded as defined."""
        captures: dict[str, str] = _CAPTURE.read(node, context)
        for name in captures:
            context.define(node, "capture", name)
        return captures

    def schema(self) -> Schema:
        """Names to paths."""
        return _CAPTURE.schema()


class JsonTemplate:
    """Any JSON value whose texts are templates. `local`: names that only these templates may use."""

    def __init__(self, *local: str) -> None:
        self.local = frozenset(local)

    def read(self, node: Node, context: ReadContext) -> object:
        """The value, with a `Template` for each text that is not empty."""
        outer, context.local = context.local, self.local
        try:
            return self._read(node, context)
        finally:
            context.local = outer

    def _read(self, node: Node, context: ReadContext) -> object:
        if isinstance(node, MappingNode):
            return {key.text: self._read(value, context) for key, value in node.pairs}
        if isinstance(node, SequenceNode):
            return [self._read(item, context) for item in node.items]
        value = plain_value(node)
        return TEXT.read(node, context) if isinstance(value, str) and value else value

    def schema(self) -> Schema:
        """Anything."""
        return {}


class ProtocolName:
    """The name of a protocol. That of an installed package is imported here, so that it surely works."""

    def read(self, node: Node, context: ReadContext) -> str:
        """The name."""
        name = scalar(node, "the name of a protocol").text
        if name in BUILT_IN:
            return name
        known = protocol_names()
        if name not in known:
            near = f"{did_you_mean(name, known)}; there are: {', '.join(known)}"
            raise FieldError(node, f"{shorten(name)!r} is not possible here{near}")
        try:
            transport_of(name)
        except AdapterError as error:
            raise FieldError(node, str(error)) from None
        return name

    def schema(self) -> Schema:
        """An enumeration of the built-in and the installed protocols."""
        return {"enum": protocol_names()}


PROTOCOL = ProtocolName()
