"""Work on many things, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut `items` into lists of `size`; the last one may be shorter."""
    # itertools has this from Python 3.12 on.
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
