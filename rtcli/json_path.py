"""Values by their paths in decoded JSON: `type`, `data.room`, `$.items.0.id`."""

from __future__ import annotations

import msgspec

_MISSING = object()


def lookup(tree: object, path: str) -> object:
    """The value at a dotted path (`data.list.0`, `$.data`) in decoded JSON; a marker if there is none."""
    for part in path.removeprefix("$.").split("."):
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isdecimal() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return _MISSING
    return tree


def has(tree: object, path: str) -> bool:
    """Whether there is a value at the path."""
    return lookup(tree, path) is not _MISSING


def as_text(value: object) -> str | None:
    """A JSON value as the text that is compared; None for the marker of `lookup`."""
    if value is _MISSING:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
