"""What becomes of a user's messages, for the account of sends: those that are not accepted, and why.

Messages that are accepted are counted by the transport itself (`UserContext.sends`).
"""

from __future__ import annotations

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.presence import Presence, State
from rtcli.load.accounts.sends import Outcome, UnsentKey, UnsentMessage
from rtcli.load.users.absence_causes import of_lost_answer
from rtcli.load.users.context import UserContext
from rtcli.load.users.transport import UnacceptedMessage

_GRACE_US = 1_000_000  # the end of the run excuses messages that have waited no longer for their answers
_NOT_CONNECTED = Cause("not_connected", "there was no connection")


class SendReports:
    """Reports on one user. Its `presence` says whether it is away because the scenario wants that."""

    __slots__ = ("_presence", "_user")

    def __init__(self, user: UserContext, presence: Presence) -> None:
        self._user = user
        self._presence = presence

    def refused(self, message: UnacceptedMessage, code: str) -> None:
        """The server answered a message with an error."""
        self._unsent("refused", message, Cause(code, f"refused: {code}"))

    def dropped(self, room: str, due: int) -> None:
        """A message was due, and could not be sent."""
        message = UnacceptedMessage(room, due)
        if self._presence.state in {State.AWAY, State.OVER}:
            self._excuse(message)
        else:
            self._unsent("not_sendable", message, self._reason(is_absent=self._presence.is_absent))

    def unanswered(self, message: UnacceptedMessage, closed: int | None, *, closing: bool) -> None:
        """The connection ended before a message was answered. `closing`: the user asked for that."""
        if self._is_excused(closed, closing=closing):
            self._excuse(message)
        else:
            self._unsent("unanswered", message, of_lost_answer(None if closing else closed))

    def why_unanswered(self, closed: int | None, *, closing: bool) -> tuple[str, str] | None:
        """The code and the text of the end of a connection; None when the scenario ended it."""
        if self._is_excused(closed, closing=closing):
            return None
        cause = of_lost_answer(None if closing else closed)
        return cause.code, cause.text

    def _is_excused(self, closed: int | None, *, closing: bool) -> bool:
        """Whether the scenario ended the connection: by a step, a cut, or the end of the user's part."""
        state = self._presence.state
        if state is State.AWAY:
            return True
        if closed is None or closing:
            return state is State.OVER
        return closed in self._user.role.expect_close

    def failed(self, message: UnacceptedMessage, cause: Cause) -> None:
        """A request to publish had no answer, or could not be made."""
        self._unsent("not_sendable" if message.sent is None else "unanswered", message, cause)

    def never_answered(self, message: UnacceptedMessage, error: str, now: int) -> None:
        """The run has settled. `error`: the code of an error that may have been the answer, or ""."""
        if error:
            self.refused(message, error)
        elif now - (message.sent or message.due) < _GRACE_US:
            self._excuse(message)
        else:
            self._unsent("unanswered", message, of_lost_answer(None))

    def cause_of_absence(self) -> Cause:
        """Why messages cannot be sent now: the user is absent without leave."""
        return self._reason(is_absent=True)

    def not_reached(self, cause: Cause, room: str, count: int, first: int, last: int) -> None:
        """The user was absent without leave, and did not come to messages of one phase."""
        key = self._key("not_sendable", cause)
        message = UnsentMessage(self._user.name, room, first, notes=self._user.subscriber.notes)
        self._user.worker.sends.not_reached(key, message, count, last)

    # -- accounting ----------------------------------------------------------------------------------------

    def _reason(self, *, is_absent: bool) -> Cause:
        cause = self._presence.absence_cause if is_absent else None
        return _NOT_CONNECTED if cause is None else cause._replace(text=f"not connected: {cause.text}")

    def _key(self, outcome: Outcome, cause: Cause) -> UnsentKey:
        return UnsentKey(outcome, self._user.role.name, cause.code, cause.text, "", cause.own)

    def _unsent(self, outcome: Outcome, message: UnacceptedMessage, cause: Cause) -> None:
        user = self._user
        if message.sent is None and not user.worker.publishes_at(message.due):  # nothing was due then
            self._excuse(message)
            return
        room, due, number, sent = message
        unsent = UnsentMessage(user.name, room, due, number, sent, user.subscriber.notes)
        user.worker.sends.unsent(self._key(outcome, cause), unsent)

    def _excuse(self, message: UnacceptedMessage) -> None:
        sends, sent = self._user.worker.sends, message.sent is not None
        sends.excused(self._user.role.name, message.due, sent=sent)
