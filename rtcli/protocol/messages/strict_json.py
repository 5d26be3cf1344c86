"""JSON as the protocol accepts it (protocol.md, section 3): RFC 8259 without what parsers disagree about.

Rejected besides invalid JSON: `NaN` and `Infinity`, numbers that no double can hold, lone surrogates, NUL, a
name that occurs twice in one object (RFC 7493, section 2.3), and more than `MAX_DEPTH` levels. This holds for
the whole text, also under unknown keys.

This is thorough, and slow: decoding.py uses it only for texts that its fast way cannot prove valid.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import cast

MAX_DEPTH = 16


class NotAcceptedError(ValueError):
    """A text that is not JSON, or JSON that the protocol rejects."""


class DoubledNameError(NotAcceptedError):
    """A name occurs twice in one object, so that parsers may read different values."""

    def __init__(self) -> None:
        super().__init__("a name occurs twice")


def _refuse_constant(name: str) -> object:
    raise NotAcceptedError(name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DoubledNameError
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def parse(text: str) -> object:
    """Parse one JSON text into plain Python values. Raises NotAcceptedError only."""
    value = parse_unique(text)
    _check(value)
    return value


def parse_unique(text: str) -> object:
    """Parse one JSON text, and refuse only names that occur twice, `NaN` and `Infinity`.

    For what is not a message, like tokens and keys. Raises NotAcceptedError only.
    """
    try:
        return cast("object", _DECODER.decode(text))
    except NotAcceptedError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: also for integers of more than 4300 digits
        raise NotAcceptedError("not JSON") from error


def _check(value: object) -> None:
    """Walk level by level, so that depth needs no stack."""
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH and any(isinstance(item, dict | list) for item in level):
            raise NotAcceptedError("too deep")
        level = [inner for item in level for inner in _contents(item)]


def _contents(item: object) -> Iterable[object]:
    if isinstance(item, dict):
        for key in item:
            check_text(key)
        return item.values()
    if isinstance(item, list):
        return item
    if isinstance(item, str):
        check_text(item)
    elif isinstance(item, float) and not math.isfinite(item):
        raise NotAcceptedError("a number out of range")
    return ()


def check_text(text: str) -> None:
    """Raise NotAcceptedError for NUL and for surrogates, which are no characters."""
    if "\0" in text:
        raise NotAcceptedError("NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotAcceptedError("a lone surrogate") from None
