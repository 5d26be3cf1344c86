"""Follows one channel: which live messages are delivered, and when the stream must be read. Pure.

Live messages may be missing, without a sign. The rule: a message whose offset is one more than that of the
last delivered one is delivered; an older one is dropped; anything else means that something is missing. Then
the stream is read from the last delivered one on, while live messages are held, until the held ones continue
it.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import HistoryPage

MAX_HELD = 1_000  # live messages kept during a read; beyond that they are read from the stream as well


class Step(NamedTuple):
    """What to do now: deliver these, then report everything up to `lost` as lost, then read the stream."""

    deliver: list[Publication]
    lost: Position | None = None
    read: bool = False


class ChannelFollower:
    """One channel, from the moment its subscription is confirmed.

    It begins with a read: call `start_read`, read the page after the position that it returns, call
    `finish_read` with it; again while the step says so. `position` is the last one that was delivered or is
    known to be lost.
    """

    __slots__ = ("_again", "_held", "_held_before", "position", "reading")

    def __init__(self) -> None:
        self.position: Position | None = None  # not known before the first read
        self.reading = True
        self._held: list[Publication] = []
        self._held_before = 0  # how many of them were held when the read started
        self._again = False  # something was missed or dropped since then

    def live(self, publication: Publication) -> Step:
        """Take a message that pub/sub brought."""
        position = self.position
        if self.reading or position is None:
            self._hold(publication)
            return Step([])
        if publication.epoch == position.epoch:
            if publication.offset == position.offset + 1:
                self.position = publication.position
                return Step([publication])
            if publication.offset <= position.offset:
                return Step([])
        self._hold(publication)
        self.reading = True
        return Step([], read=True)

    def suspect(self) -> Step:
        """Read the stream: something may be missing after a reconnect, or when a check found a higher top."""
        if self.reading:
            self._again = True
            return Step([])
        self.reading = True
        return Step([], read=True)

    def start_read(self) -> Position | None:
        """Start a read; return the position to read after (None: only the top is needed)."""
        self._held_before = len(self._held)
        self._again = False
        return self.position

    def finish_read(self, page: HistoryPage) -> Step:
        """Take the page that was read."""
        top = page.top
        if self.position is None:
            self.position = top
        if top.epoch != self.position.epoch:
            # The log was lost, or started anew. All of the new one is still to be delivered.
            self.position = Position(top.epoch, 0)
            if top.offset > 0:
                return Step([], read=True)
            return self._join([], lost=top)
        fresh = [
            publication for publication in page.publications if publication.offset > self.position.offset
        ]
        if fresh:
            self.position = Position(top.epoch, fresh[-1].offset)
        if self.position.offset >= top.offset:
            return self._join(fresh)
        if fresh:
            return Step(fresh, read=True)
        self.position = top  # the rest is gone from the stream as well
        return self._join([], lost=top)

    def _hold(self, publication: Publication) -> None:
        if len(self._held) < MAX_HELD:
            self._held.append(publication)
        else:
            self._again = True

    def _join(self, deliver: list[Publication], lost: Position | None = None) -> Step:
        """Append the held messages to what was read.

        Those held before the read started are in the page, unless they are of a log that is gone: if they do
        not continue the page, they are old. Those that came later may be ahead of it.
        """
        held, self._held = self._held, []
        for number, publication in enumerate(held):
            assert self.position is not None  # noqa: S101 - set by `finish_read`
            epoch, offset = self.position
            if publication.epoch == epoch and publication.offset == offset + 1:
                self.position = publication.position
                deliver.append(publication)
                lost = None  # the gap before this one shows it
            elif number >= self._held_before and (publication.epoch != epoch or publication.offset > offset):
                self._hold(publication)
        self.reading = bool(self._held) or self._again
        return Step(deliver, lost, self.reading)
