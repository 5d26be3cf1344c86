"""What a user's connections mean for the users account: attempts to open them, and how they end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rtcli.load.accounts.absences import JOIN_UNANSWERED, NO_ANSWER, NO_GREETING, NO_STREAM, Cause
from rtcli.load.accounts.presence import Presence
from rtcli.load.errors import ConnectError, LostError, StepError
from rtcli.load.users.absence_causes import of_close, of_failed_attempt
from rtcli.load.users.context import UserContext


class PresenceReports:
    """Reports on one user to its `presence`. `stream`: its transport is an event stream."""

    __slots__ = ("_closed", "_expected", "_presence", "_stream", "_user")

    def __init__(self, user: UserContext, presence: Presence, *, stream: bool) -> None:
        self._user = user
        self._presence = presence
        self._stream = stream
        self._closed: Cause | None = None  # how the connection of this attempt ended
        self._expected = False  # the scenario expects that

    @contextlib.contextmanager
    def attempt(self, *, resumed: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Report an attempt to connect, and how it ends. `resumed`: whether it brought the rooms back."""
        presence, now = self._presence, self._user.worker.now
        self._closed, self._expected = None, False
        presence.attempt(now(), NO_STREAM if self._stream else NO_ANSWER)
        try:
            yield
        except (ConnectError, LostError, StepError, TimeoutError) as error:
            self._attempt_failed(error)
            raise
        presence.confirmed(now(), resumed=resumed())

    def _attempt_failed(self, error: Exception) -> None:
        now = self._user.worker.now()
        if self._expected:
            self._presence.asked_away(now)
            return
        reason = error.__cause__ if isinstance(error, ConnectError) else error
        cause = of_failed_attempt(
            reason if isinstance(reason, Exception) else error,
            unanswered=self._presence.unanswered,
            closed=self._closed,
            stream=self._stream,
        )
        self._presence.failed(now, cause)

    def opened(self) -> None:
        """Report that the connection of this attempt is open."""
        self._presence.waits(JOIN_UNANSWERED if self._stream else NO_GREETING)

    def greeted(self) -> None:
        """Report that the server has let the user in; its rooms remain."""
        self._presence.waits(JOIN_UNANSWERED)

    def closed(self, code: int, now: int, *, opening: bool) -> None:
        """Report the end of a connection. `opening`: it ends the attempt to open it, which then fails."""
        self._closed = of_close(code)
        self._expected = code in self._user.role.expect_close
        if opening:
            return
        if self._expected:
            self._presence.asked_away(now)
        else:
            self._presence.lost(now, self._closed)
