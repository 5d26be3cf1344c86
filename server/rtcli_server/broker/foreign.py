"""Counts what was found in a store, or came from a peer, and is not ours; tells the log once in a while.

It was skipped where it was found. Anybody who can write there decides how much of it there is: so not each
piece is a line, and a piece is not quoted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from rtcli_server.broker.validation import ForeignDataError

LINE_EVERY_S = 60.0

_log = logging.getLogger(__name__)


class Place(StrEnum):
    """Where it was found."""

    LOG = "log"  # an entry of a stream, a row
    MESSAGE = "message"  # from pub/sub
    NOTIFICATION = "notification"
    PRESENCE = "presence"
    COMMAND = "command"
    REVOCATION = "revocation"


class ForeignContent:
    """How much was skipped, by place. `now` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._told_at = -LINE_EVERY_S
        self._untold = 0
        self.counts: Counter[str] = Counter(dict.fromkeys(Place, 0))

    def skip(self, place: Place, channel: str, error: ForeignDataError) -> None:
        """Count a piece that was found in `channel`, and why it is none of ours."""
        self.counts[place] += 1
        self._untold += 1
        if self._now() - self._told_at >= LINE_EVERY_S:
            _log.warning(
                "skipped foreign content (%s) of %r: %s; %d since the last such line",
                place, channel, error, self._untold,
            )  # fmt: skip
            self._told_at = self._now()
            self._untold = 0
