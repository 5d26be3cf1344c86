"""The grammar of `target`: what is spoken, and the frames of a server that speaks JSON of its own."""

from __future__ import annotations

from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import HEADERS, PATH, TEXT
from rtcli.load.scenario.grammar.context import Reading, Schema, WrongError, describe
from rtcli.load.scenario.grammar.field_types import ListOf, Text, Whole, words
from rtcli.load.scenario.grammar.roles import PROTOCOL
from rtcli.load.scenario.grammar.sections import Field, Section
from rtcli.load.scenario.grammar.step_types import Tree
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, plain_value


class PlainValues:
    """A mapping of free names to single values."""

    def __init__(self, what: str) -> None:
        self.what = what

    def read(self, node: Node, reading: Reading) -> dict[str, object]:
        """Names to values."""
        if not isinstance(node, MappingNode) or not node.pairs:
            raise WrongError(node, f"expected {self.what}, got {describe(node)}")
        for key, value in node.pairs:
            if not isinstance(value, ScalarNode):
                reading.note(value, f"{key.text}: expected a single value, got {describe(value)}")
        return {key.text: plain_value(value) for key, value in node.pairs if isinstance(value, ScalarNode)}

    def schema(self) -> Schema:
        """Names to single values."""
        values = {"type": ["string", "number", "boolean", "null"]}
        return {"type": "object", "minProperties": 1, "additionalProperties": values}


_MATCH = Section(
    "a frame to know",
    {
        "match": Field(
            PlainValues("a mapping of paths to values"), "what stands at which paths", required=True
        ),
        "room": Field(PATH, "where the room's name stands"),
        "id": Field(PATH, "where the message's id stands"),
    },
    model.FrameMatch,
)


_FRAMES = Section(
    "'frames'",
    {
        "hello": Field(Tree(), "sent once after connecting"),
        "join": Field(Tree("room"), "sent to join a room"),
        "leave": Field(Tree("room"), "sent to leave a room"),
        "send": Field(
            Tree("room", "text", "id"), "sent for each message; ${text} must be in it", required=True
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
        "path": Field(Tree("room", "id"), "path of the request, with ${room} in it", required=True),
        "body": Field(
            Tree("room", "text", "id"), "a text, or a tree for JSON; ${text} must be in it", required=True
        ),
        "method": Field(words("POST", "PUT", "PATCH"), "POST"),
        "status": Field(ListOf(Whole(100, 599), least=1), "statuses that mean published; 200 201 202 204"),
    },
    lambda **values: (
        model.HttpPublish(**{**values, "status": frozenset(values["status"])})
        if "status" in values
        else model.HttpPublish(**values)
    ),
)


def _build_target(**values: Any) -> model.Target:  # noqa: ANN401
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
            ListOf(Text(pattern=r"[A-Za-z0-9._-]+"), least=1), "WebSocket subprotocols to offer"
        ),
        "frames": Field(_FRAMES, "with `protocol: json`: what the frames look like"),
        "publish": Field(_PUBLISH, "how users of event streams publish, where the server is not ours"),
        "serve": Field(PlainValues("settings of the server"), "settings of the server that --serve starts"),
    },
    _build_target,
)
