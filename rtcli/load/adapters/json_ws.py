"""Any WebSocket with JSON frames, as the scenario describes them (`target: frames:`)."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from random import Random
from typing import Literal

import msgspec

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters import base
from rtcli.load.core.json_path import as_text, has, lookup
from rtcli.load.scenario.expressions import render_tree
from rtcli.load.scenario.model import FrameMatch, Frames, Target
from rtcli.protocol.position import Position

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonWs:
    """The adapter."""

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

    def url(self, endpoint: Endpoint, opening: base.Opening) -> str:
        """See WsAdapter."""
        return endpoint.ws_url(opening.path or endpoint.path or "/")

    def headers(self, opening: base.Opening) -> list[tuple[str, str]]:
        """See WsAdapter: the token goes where the scenario says, if anywhere."""
        return list(opening.headers.items())

    def _render(self, tree: object, user: Mapping[str, object], **own: object) -> bytes:
        scope = ChainMap(own, user)  # type: ignore[arg-type] # it only reads
        return _encode(render_tree(tree, scope, self._rng))

    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        """See WsAdapter."""
        return [] if self._frames.hello is None else [self._render(self._frames.hello, user)]

    def join(
        self,
        room: str,
        since: Position | None,  # noqa: ARG002 - see `resumes`
        history: int,  # noqa: ARG002 - there is no word for it
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes | None:
        """See WsAdapter."""
        return (
            None
            if self._frames.join is None
            else self._render(self._frames.join, user, room=room, id=request_id)
        )

    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes | None:
        """See WsAdapter."""
        return (
            None
            if self._frames.leave is None
            else self._render(self._frames.leave, user, room=room, id=request_id)
        )

    def send(self, room: str, text: str, request_id: str, user: Mapping[str, object]) -> bytes:
        """See WsAdapter."""
        return self._render(self._frames.send, user, room=room, text=text, id=request_id)

    def typing(self, room: str, *, is_typing: bool) -> bytes | None:  # noqa: ARG002 - there is no word for it
        """See WsAdapter."""
        return None

    def parse(self, frame: bytes) -> base.Event:
        """See WsAdapter. What confirms comes first: a message's own frame may look like data, too."""
        try:
            tree = _decode(frame)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return base.OTHER
        frames = self._frames
        if frames.joined is not None and _matches(frames.joined, tree):
            return base.Joined(_text_at(tree, frames.joined.room) or "", None, None)
        if frames.ack is not None and _matches(frames.ack, tree):
            return base.Acked(_text_at(tree, frames.ack.id) or "", None)
        if frames.error is not None and _matches(frames.error, tree):
            return base.Refused(_text_at(tree, frames.error.id), "error")
        if _matches(frames.data, tree):
            return base.Data(_text_at(tree, frames.data.room), None)
        return base.OTHER


def _matches(described: FrameMatch, tree: object) -> bool:
    return all(lookup(tree, path) == value for path, value in described.match.items())


def _text_at(tree: object, path: str | None) -> str | None:
    return as_text(lookup(tree, path)) if path is not None and has(tree, path) else None
