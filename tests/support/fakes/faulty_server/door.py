"""How the faulty server lets users in, and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def anybody(_user_id: str) -> bool:
    """Every user."""
    return True


@dataclass(frozen=True, slots=True)
class Door:
    """What is done to the connections of users for whom `concerns` is true; the others are let in."""

    concerns: Callable[[str], bool] = anybody
    status: int | None = None  # the answer to their request
    silent: bool = False  # their request is never answered
    confirms: bool = True  # their joins are confirmed, or their rooms on an event stream
    join_error: bool = False  # their joins are refused
    close: tuple[float, int] | None = None  # their connections are closed after so many seconds, with a code


OPEN = Door(concerns=lambda _user_id: False)
