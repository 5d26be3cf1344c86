"""Decides which events of a stream are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rtcli import StreamEvent
from rtcli.errors import CliError


@dataclass(frozen=True)
class EventFilter:
    """Lets an event through when it is of a wanted type, of no unwanted one, and its data matches."""

    wanted: frozenset[str]  # empty: all
    unwanted: frozenset[str]
    pattern: re.Pattern[str] | None

    def accepts(self, event: StreamEvent) -> bool:
        """Whether this event is shown."""
        if self.wanted and event.event not in self.wanted:
            return False
        if event.event in self.unwanted:
            return False
        return self.pattern is None or self.pattern.search(event.data) is not None


def make_filter(
    wanted: Sequence[str] | None, unwanted: Sequence[str] | None, pattern: str | None
) -> EventFilter:
    """Build a filter from `--event`, `--not-event` and `--grep`. Raises CliError (2) for a bad pattern.

    As in journalctl, a pattern without a capital letter matches both cases.
    """
    compiled = None
    if pattern is not None:
        try:
            compiled = re.compile(pattern, 0 if re.search("[A-Z]", pattern) else re.IGNORECASE)
        except re.error as error:
            raise CliError(
                f"--grep {pattern!r}: {error}", hint="a regular expression as Python's re has them"
            ) from None
    return EventFilter(frozenset(wanted or ()), frozenset(unwanted or ()), compiled)
