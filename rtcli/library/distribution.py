"""Gives each value to everyone in the program who reads it, and stops what comes where somebody is behind."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rtcli.library.inbox import Inbox

T = TypeVar("T")


@dataclass
class _Reader(Generic[T]):
    inbox: Inbox[T]
    wants: Callable[[T], bool]
    channels: frozenset[str] | None  # from which it wants something; None: from all
    is_claimed: bool  # somebody reads; or else it is given up when it is full, and others do


class Distribution(Generic[T]):
    """The readers of a client or stream.

    `channel_of` says from which channel a value is, or None where it cannot be had again. A channel is held
    (`hold`) when one of its readers is full, and resumed when all have drained. `is_ephemeral` values are
    left out for readers that are full.
    """

    def __init__(
        self,
        *,
        channel_of: Callable[[T], str | None],
        is_ephemeral: Callable[[T], bool],
        hold: Callable[[str], None],
        resume: Callable[[str], None],
    ) -> None:
        self._channel_of = channel_of
        self._is_ephemeral = is_ephemeral
        self._hold = hold
        self._resume = resume
        self._readers: list[_Reader[T]] = []
        self._held: set[str] = set()
        self._ended = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def add(
        self,
        max_values: int,
        *,
        wants: Callable[[T], bool],
        channels: frozenset[str] | None = None,
        is_claimed: bool = True,
    ) -> Inbox[T]:
        """Add a reader, who gets what is delivered from now on."""
        inbox: Inbox[T] = Inbox(max_values, self._on_taken)
        if self._ended:
            inbox.end(self._error)
        else:
            self._readers.append(_Reader(inbox, wants, channels, is_claimed))
            self._give_up_unclaimed()
        return inbox

    def claim(self, inbox: Inbox[T]) -> bool:
        """Somebody reads here from now on; False when it was given up before."""
        for reader in self._readers:
            if reader.inbox is inbox:
                reader.is_claimed = True
                return True
        return self._ended

    def forget_with(self, handle: object, inbox: Inbox[T]) -> None:
        """Remove the reader when nobody has its handle any more."""
        loop = asyncio.get_running_loop()
        finalizer = weakref.finalize(handle, _remove_soon, loop, weakref.ref(self), weakref.ref(inbox))
        finalizer.atexit = False

    def deliver(self, value: T) -> None:
        """Give a value to all who want it."""
        ephemeral = self._is_ephemeral(value)
        is_full = False
        for reader in self._readers:
            if reader.wants(value) and not (ephemeral and reader.inbox.is_full):
                reader.inbox.put(value)
                is_full = is_full or reader.inbox.is_full
        if is_full:
            self._give_up_unclaimed()
            is_full = any(reader.inbox.is_full for reader in self._readers if reader.wants(value))
        channel = self._channel_of(value)
        if is_full and channel is not None:  # said again: a new connection has forgotten it
            self._held.add(channel)
            self._hold(channel)

    def end(self, error: Exception | None, channel: str | None = None) -> None:
        """End all readers, or those who read one channel alone."""
        if channel is None:
            self._ended, self._error = True, error
        for reader in list(self._readers):
            if channel is None or reader.channels == frozenset({channel}):
                reader.inbox.end(error)
                self._readers.remove(reader)

    def remove(self, inbox: Inbox[T]) -> None:
        """Remove a reader: nobody waits for it."""
        self._readers = [reader for reader in self._readers if reader.inbox is not inbox]
        self._on_taken()

    def _give_up_unclaimed(self) -> None:
        if any(reader.is_claimed for reader in self._readers):
            for reader in [one for one in self._readers if not one.is_claimed and one.inbox.is_full]:
                self.remove(reader.inbox)

    def _on_taken(self) -> None:
        if not self._held:
            return
        for channel in [channel for channel in self._held if self._is_drained(channel)]:
            self._held.discard(channel)
            self._resume(channel)

    def _is_drained(self, channel: str) -> bool:
        return all(
            reader.inbox.is_drained
            for reader in self._readers
            if reader.channels is None or channel in reader.channels
        )


def _remove_soon(
    loop: asyncio.AbstractEventLoop,
    distribution: weakref.ref[Distribution[T]],
    inbox: weakref.ref[Inbox[T]],
) -> None:
    """Remove a reader on the loop: the garbage collector may run in any thread."""

    def remove() -> None:
        known, gone = distribution(), inbox()
        if known is not None and gone is not None:
            known.remove(gone)

    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(remove)
