"""Any WebSocket with JSON frames, as the scenario describes them (`target: frames:`)."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from random import Random
from typing import Literal

import msgspec
from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.json_path import as_text, has, lookup
from rtcli.load.adapters.interface import (
    OTHER,
    Acked,
    Data,
    Event,
    Joined,
    Opening,
    Refused,
    WsAdapter,
    unreadable,
)
from rtcli.load.scenario.expressions import render_tree
from rtcli.load.scenario.model import FrameMatch, Frames, Target
from rtcli.protocol.position import Position

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonWs(WsAdapter):
    """The adapter: frames are rendered from the templates of `target: frames:` and matched with its paths."""

    transport: Literal["ws"] = "ws"
    greets = False
    resumes = False  # there is no word for what was missed

    def __init__(self, target: Target, frames: Frames, seed: int) -> None:
        self._target = target
        self._frames = frames
        self._rng = Random(seed)  # noqa: S311 - for functions in templates; repeatable on purpose
        self.acks = frames.ack is not None
        self.confirms = frames.joined is not None
        self.confirms_leaves = False
        self.subprotocols = target.subprotocols

    @override
    def url(self, endpoint: Endpoint, opening: Opening) -> str:
        return endpoint.ws_url(opening.path or endpoint.path or "/")

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        """The header fields of the scenario; the token goes where it says, if anywhere."""
        return list(opening.headers.items())

    def _render(self, tree: object, user: Mapping[str, object], **own: object) -> bytes:
        scope = ChainMap(own, user)  # type: ignore[arg-type] # it only reads
        return _encode(render_tree(tree, scope, self._rng))

    @override
    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        return [] if self._frames.hello is None else [self._render(self._frames.hello, user)]

    @override
    def join(
        self,
        room: str,
        since: Position | None,
        history: int,
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes | None:
        return (
            None
            if self._frames.join is None
            else self._render(self._frames.join, user, room=room, id=request_id)
        )

    @override
    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes | None:
        return (
            None
            if self._frames.leave is None
            else self._render(self._frames.leave, user, room=room, id=request_id)
        )

    @override
    def send(self, room: str, text: str, request_id: str, user: Mapping[str, object]) -> bytes:
        return self._render(self._frames.send, user, room=room, text=text, id=request_id)

    @override
    def typing(self, room: str, *, is_typing: bool) -> bytes | None:
        return None

    @override
    def parse(self, frame: bytes) -> Event:
        """What a frame means. Confirmations are looked for first: their frames may match data, too."""
        try:
            tree = _decode(frame)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return unreadable(frame)
        frames = self._frames
        if frames.joined is not None and _matches(frames.joined, tree):
            return Joined(_text_at(tree, frames.joined.room) or "", None, None)
        if frames.ack is not None and _matches(frames.ack, tree):
            return Acked(_text_at(tree, frames.ack.id) or "", None)
        if frames.error is not None and _matches(frames.error, tree):
            return Refused(_text_at(tree, frames.error.id), "error")
        if _matches(frames.data, tree):
            data = frames.data
            text = None if data.text is None else _text_at(tree, data.text)
            return Data(_text_at(tree, data.room), None, text)
        return OTHER


def _matches(described: FrameMatch, tree: object) -> bool:
    return all(lookup(tree, path) == value for path, value in described.match.items())


def _text_at(tree: object, path: str | None) -> str | None:
    return as_text(lookup(tree, path)) if path is not None and has(tree, path) else None
