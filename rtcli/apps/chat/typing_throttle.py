"""When to announce that we type: at most every 3 s while the text changes, once when we stop. Pure."""

from __future__ import annotations

RESEND_S = 3.0
FORGET_S = 6.0  # after this time the server ends it by itself


class TypingThrottle:
    """Decides what to announce. `enabled` can be changed at any time."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._announced_at: float | None = None

    def changed(self, text: str, now: float) -> bool | None:
        """The input line has changed. Returns the state to announce, or None."""
        active = self.enabled and bool(text.strip()) and not text.startswith("/")
        if not active:
            return self.stopped(now)
        if self._announced_at is not None and now - self._announced_at < RESEND_S:
            return None
        self._announced_at = now
        return True

    def stopped(self, now: float) -> bool | None:
        """Typing has stopped. Returns False to announce that, or None if others know already."""
        announced_at, self._announced_at = self._announced_at, None
        return False if announced_at is not None and now - announced_at < FORGET_S else None

    def sent(self) -> None:
        """The text was sent, which ends typing for all others."""
        self._announced_at = None
