"""The refresh of a token: one that cannot be checked yet is repeated when the server says. Pure."""

from __future__ import annotations

from rtcli.protocol.messages import client as mine


class Refreshing:
    """`repeat_at` is when the refresh is due again, on the clock of the client; None: it is not."""

    def __init__(self) -> None:
        self._sent: mine.Refresh | None = None
        self.repeat_at: float | None = None

    def begin(self, token: str, identifier: str) -> mine.Refresh:
        """Make the message for a new token."""
        self.repeat_at = None
        self._sent = mine.Refresh(mine.RefreshData(token), id=identifier)
        return self._sent

    def put_off(self, identifier: str | None, again_at: float) -> bool:
        """The server cannot answer now; False when that is not about our latest refresh."""
        if self._sent is None or identifier != self._sent.id:
            return False
        self.repeat_at = again_at
        return True

    def take_due(self, now: float) -> mine.Refresh | None:
        """Return the refresh if it is due."""
        if self.repeat_at is None or self.repeat_at > now:
            return None
        self.repeat_at = None
        return self._sent

    def lost(self) -> None:
        """The next connection has a token of its own."""
        self._sent = self.repeat_at = None
