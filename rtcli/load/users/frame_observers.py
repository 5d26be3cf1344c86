"""Observers of every frame that a user receives: the `expect` step waits for those that match a pattern."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from typing_extensions import override

from rtcli.json_path import as_text, lookup

_MAX_RECORDED = 10_000


class FrameObserver(Protocol):
    """Something that looks at every frame that a user receives."""

    def observe(self, data: bytes | str) -> None:
        """Look at a frame, or at the data of an event."""
        ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a frame must match: all of these that are given."""

    type: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    contains: str | None = None

    def matches(self, text: str, tree: object) -> bool:
        """Whether a frame matches; `tree` is its decoded JSON, or None."""
        if self.contains is not None and self.contains not in text:
            return False
        if self.type is not None and lookup(tree, "type") != self.type:
            return False
        return all(as_text(lookup(tree, path)) == wanted for path, wanted in self.where.items())


class FrameMatcher(FrameObserver):
    """Counts frames that match a pattern; `done` is set after `count` of them."""

    def __init__(self, pattern: Pattern, count: int) -> None:
        self.pattern = pattern
        self.match: object = None  # the JSON of the last that matched
        self.done = asyncio.Event()
        self._left = count

    @override
    def observe(self, data: bytes | str) -> None:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            tree: object = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError):
            tree = None
        if self.pattern.matches(text, tree):
            self.match = tree
            self._left -= 1
            if self._left <= 0:
                self.done.set()


class FrameRecorder(FrameObserver):
    """Keeps the frames that come during the step before an `expect`: the answer may be among them."""

    def __init__(self) -> None:
        self._frames: list[bytes | str] = []

    @override
    def observe(self, data: bytes | str) -> None:
        if len(self._frames) < _MAX_RECORDED:
            self._frames.append(data)

    def replay(self, matcher: FrameMatcher) -> None:
        """Show the kept frames to a matcher."""
        for frame in self._frames:
            matcher.observe(frame)
