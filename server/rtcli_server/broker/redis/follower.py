"""Following one channel: what of the live messages is delivered, and when the stream must be read. Pure.

Live messages may be missing, without a sign. The rule: a message whose offset is one more than that of the
last delivered is delivered; an older one is dropped; anything else means that something is missing, and then
the stream is read from the last delivered one on, while live messages are held, until both join.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import HistoryPage

MAX_HELD = 1_000  # live messages kept during a read; beyond that they are read from the stream as well


class Step(NamedTuple):
    """What to do now: deliver these, then say that everything up to `lost` will not come, and read."""

    deliver: list[Publication]
    lost: Position | None = None
    read: bool = False


class ChannelFollower:
    """One channel, from the moment its subscription is confirmed.

    It begins with a read: call `ask`, read the page after the position that it returns, call `read` with it;
    again while the step says so. `position` is the last one that was delivered or is known to be lost.
    """

    __slots__ = ("_again", "_asked", "_held", "position", "reading")

    def __init__(self) -> None:
        self.position: Position | None = None  # not known before the first read
        self.reading = True
        self._held: list[Publication] = []
        self._asked = 0  # how many of them were there when the read was asked for
        self._again = False  # something was missed or thrown away since then

    def live(self, publication: Publication) -> Step:
        """Take a message that pub/sub brought."""
        position = self.position
        if self.reading or position is None:
            self._hold(publication)
            return Step([])
        if publication.epoch == position.epoch:
            if publication.offset == position.offset + 1:
                self.position = Position(publication.epoch, publication.offset)
                return Step([publication])
            if publication.offset <= position.offset:
                return Step([])
        self._hold(publication)
        self.reading = True
        return Step([], read=True)

    def suspect(self) -> Step:
        """Something may be missing: after a reconnect, or when a check found a higher top."""
        if self.reading:
            self._again = True
            return Step([])
        self.reading = True
        return Step([], read=True)

    def ask(self) -> Position | None:
        """Begin a read: where to read from (None: only the top is needed)."""
        self._asked = len(self._held)
        self._again = False
        return self.position

    def read(self, page: HistoryPage) -> Step:
        """Take the page that was asked for."""
        top = page.top
        if self.position is None:
            self.position = top
        if top.epoch != self.position.epoch:
            # The log was lost or begun anew. Everything in the new one is new.
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
        self.position = top  # what was missed last is gone from the stream as well
        return self._join([], lost=top)

    def _hold(self, publication: Publication) -> None:
        if len(self._held) < MAX_HELD:
            self._held.append(publication)
        else:
            self._again = True

    def _join(self, deliver: list[Publication], lost: Position | None = None) -> Step:
        """Append the held messages to what was read.

        Those held before the read was asked for are in the page, unless they are of a log that is gone:
        if they do not continue it, they are old. Those that came later may be ahead of it.
        """
        held, self._held = self._held, []
        for number, publication in enumerate(held):
            assert self.position is not None  # noqa: S101 - set by `read`
            epoch, offset = self.position
            if publication.epoch == epoch and publication.offset == offset + 1:
                self.position = Position(epoch, publication.offset)
                deliver.append(publication)
                lost = None  # the jump shows it
            elif number >= self._asked and (publication.epoch != epoch or publication.offset > offset):
                self._hold(publication)
        self.reading = bool(self._held) or self._again
        return Step(deliver, lost, self.reading)
