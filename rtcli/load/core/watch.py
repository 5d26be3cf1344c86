"""Waiting for frames that a scenario describes: the `expect` step, which looks at every one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

_MISSING = object()
_MAX_RECORDED = 10_000


class FrameObserver(Protocol):
    """Something that every frame is shown to."""

    def see(self, data: bytes | str) -> None:
        """Look at a frame, or at the data of an event."""
        ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a frame must be like: all of these that are given."""

    type: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    contains: str | None = None

    def matches(self, text: str, tree: object) -> bool:
        """Whether a frame is like that; `tree` is its JSON, or None."""
        if self.contains is not None and self.contains not in text:
            return False
        if self.type is not None and lookup(tree, "type") != self.type:
            return False
        return all(as_text(lookup(tree, path)) == wanted for path, wanted in self.where.items())


class FrameMatcher:
    """Counts frames that match a pattern; `done` is set when there were enough."""

    def __init__(self, pattern: Pattern, count: int) -> None:
        self.pattern = pattern
        self.found: object = None  # the JSON of the last that matched
        self.done = asyncio.Event()
        self._left = count

    def see(self, data: bytes | str) -> None:
        """Look at a frame, or at the data of an event."""
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            tree: object = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError):
            tree = None
        if self.pattern.matches(text, tree):
            self.found = tree
            self._left -= 1
            if self._left <= 0:
                self.done.set()


class FrameRecorder:
    """Keeps the frames that come during the step before an `expect`: the answer may be among them."""

    def __init__(self) -> None:
        self._frames: list[bytes | str] = []

    def see(self, data: bytes | str) -> None:
        """Keep a frame."""
        if len(self._frames) < _MAX_RECORDED:
            self._frames.append(data)

    def replay(self, watcher: FrameMatcher) -> None:
        """Show what was kept to a watcher."""
        for frame in self._frames:
            watcher.see(frame)


def lookup(tree: object, path: str) -> object:
    """What stands at a dotted path in decoded JSON; a marker that equals nothing if there is nothing."""
    for part in path.removeprefix("$.").split("."):
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isdecimal() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return _MISSING
    return tree


def found(tree: object, path: str) -> bool:
    """Whether there is something at the path."""
    return lookup(tree, path) is not _MISSING


def as_text(value: object) -> str | None:
    """A JSON value as scenarios compare it; None for what is not there."""
    if value is _MISSING:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
