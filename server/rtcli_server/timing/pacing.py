"""Work on many things, a group at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut `items` into lists of `size`; the last one may be shorter."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group
