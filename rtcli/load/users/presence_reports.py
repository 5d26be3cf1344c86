"""What a user's connections mean for the users account: attempts to open them, and how they end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rtcli.load.accounts.absences import JOIN_UNANSWERED, NO_ANSWER, NO_GREETING, NO_STREAM, Cause
from rtcli.load.accounts.presence import Presence
from rtcli.load.errors import ConnectError, LostError, StepError
from rtcli.load.users.absence_causes import of_close, of_failed_attempt
from rtcli.load.users.context import UNCONFIRMED_US, UserContext


class PresenceReports:
    """Reports on one user to its `presence`. `stream`: its transport is an event stream."""

    __slots__ = ("_attempts", "_closed", "_opened", "_presence", "_stream", "_user")

    def __init__(self, user: UserContext, presence: Presence, *, stream: bool) -> None:
        self._user = user
        self._presence = presence
        self._stream = stream
        self._attempts = False  # an attempt is under way
        self._closed: Cause | None = None  # how its connection ended
        self._opened = 0  # when it was opened

    @contextlib.contextmanager
    def attempt(self, *, resumed: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Report an attempt to connect, and how it ends. `resumed`: whether it brought the rooms back."""
        presence, now = self._presence, self._user.worker.now
        self._attempts, self._closed = True, None
        presence.attempt(now(), NO_STREAM if self._stream else NO_ANSWER)
        try:
            yield
        except (ConnectError, LostError, StepError, TimeoutError) as error:
            self._attempt_failed(error)
            raise
        finally:
            self._attempts = False
        presence.confirmed(now(), resumed=resumed())

    def _attempt_failed(self, error: Exception) -> None:
        now = self._user.worker.now()
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
        self._opened = self._user.worker.now()
        self._presence.waits(JOIN_UNANSWERED if self._stream else NO_GREETING)

    def greeted(self) -> None:
        """Report that the server has let the user in; its rooms remain."""
        self._presence.waits(JOIN_UNANSWERED)

    def closed(self, code: int, now: int, *, was_let_in: bool = True) -> None:
        """Report the end of a connection.

        It ends the attempt under way, which then fails. A close that the scenario expects takes away who was
        let in; before that, it is a refusal. Where nothing shows that (`was_let_in`), a user counts as let in
        when its connection has lasted as long as an unconfirmed join is given.
        """
        self._closed = of_close(code)
        if self._attempts:
            return
        was_let_in = was_let_in or now - self._opened >= UNCONFIRMED_US
        if code in self._user.role.expect_close and self._presence.came_in and was_let_in:
            self._presence.asked_away(now)
        else:
            self._presence.lost(now, self._closed)
