"""The grammar of `target`: protocol and address, and the frames of a server with its own JSON protocol."""

from __future__ import annotations

from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import HEADERS, HTTP_STATUS, PATH, PROTOCOL, TEXT, JsonTemplate
from rtcli.load.scenario.grammar.context import FieldError, ReadContext, Schema, describe
from rtcli.load.scenario.grammar.field_types import Choice, ListOf, Text
from rtcli.load.scenario.grammar.sections import Converted, Field, Section
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, plain_value


class PlainMapping:
    """A mapping with free keys and scalar values."""

    def __init__(self, expected: str) -> None:
        self.expected = expected

    def read(self, node: Node, context: ReadContext) -> dict[str, object]:
        """Names to values."""
        if not isinstance(node, MappingNode) or not node.pairs:
            raise FieldError(node, f"expected {self.expected}, got {describe(node)}")
        for key, value in node.pairs:
            if not isinstance(value, ScalarNode):
                context.report(value, f"{key.text}: expected a single value, got {describe(value)}")
        return {key.text: plain_value(value) for key, value in node.pairs if isinstance(value, ScalarNode)}

    def schema(self) -> Schema:
        """Names to single values."""
        values = {"type": ["string", "number", "boolean", "null"]}
        return {"type": "object", "minProperties": 1, "additionalProperties": values}


_MATCH = Section(
    "a frame to know",
    {
        "match": Field(
            PlainMapping("a mapping of paths to values"), "what stands at which paths", required=True
        ),
        "room": Field(PATH, "where the room's name stands"),
        "id": Field(PATH, "where the message's id stands"),
        "text": Field(PATH, "where the message's text stands"),
    },
    model.FrameMatch,
)


_FRAMES = Section(
    "'frames'",
    {
        "hello": Field(JsonTemplate(), "sent once after connecting"),
        "join": Field(JsonTemplate("room"), "sent to join a room"),
        "leave": Field(JsonTemplate("room"), "sent to leave a room"),
        "send": Field(
            JsonTemplate("room", "text", "id"), "sent for each message; ${text} must be in it", required=True
        ),
        "joined": Field(_MATCH, "confirms a join; without it a join counts when it was sent"),
        "data": Field(_MATCH, "a message that somebody sent", required=True),
        "ack": Field(_MATCH, "confirms a message"),
        "error": Field(_MATCH, "refuses a message"),
    },
    model.Frames,
)


_PUBLISH = Section(
    "'publish'",
    {
        "path": Field(JsonTemplate("room", "id"), "path of the request, with ${room} in it", required=True),
        "body": Field(
            JsonTemplate("room", "text", "id"),
            "a text, or a tree for JSON; ${text} must be in it",
            required=True,
        ),
        "method": Field(Choice.of("POST", "PUT", "PATCH"), "POST"),
        "status": Field(
            Converted(ListOf(HTTP_STATUS, min_items=1), frozenset),
            "statuses that mean published; 200 201 202 204",
        ),
    },
    model.HttpPublish,
)


def _build_target(**values: Any) -> model.Target:
    if (values.get("protocol") == "json") != ("frames" in values):
        raise ValueError("`protocol: json` and `frames` belong together")
    return model.Target(**values)


TARGET = Section(
    "'target'",
    {
        "protocol": Field(PROTOCOL, "what is spoken; rtcli"),
        "url": Field(
            Text("an address, like http://127.0.0.1:8000", r"(https?|wss?)://\S+"), "where; --url wins"
        ),
        "path": Field(TEXT, "path of the endpoint, instead of the protocol's own"),
        "headers": Field(HEADERS, "HTTP headers to send with every connection"),
        "subprotocols": Field(
            ListOf(Text(pattern=r"[A-Za-z0-9._-]+"), min_items=1), "WebSocket subprotocols to offer"
        ),
        "frames": Field(_FRAMES, "with `protocol: json`: what the frames look like"),
        "publish": Field(_PUBLISH, "how users of event streams publish, where the server is not ours"),
        "serve": Field(PlainMapping("settings of the server"), "settings of the server that --serve starts"),
    },
    _build_target,
)
