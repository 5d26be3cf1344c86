"""When to tell others that we type: at most every 3 s while the text changes, once when it is gone. Pure."""

from __future__ import annotations

RESEND_S = 3.0
FORGET_S = 6.0  # a server that loses our last word ends it by itself after that time


class TypingThrottle:
    """Decides what to tell; `enabled` can be changed at any time."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._told_at: float | None = None

    def changed(self, text: str, now: float) -> bool | None:
        """The text on the input line has changed: True or False is to be sent, None is nothing."""
        active = self.enabled and bool(text.strip()) and not text.startswith("/")
        if not active:
            return self.stopped(now)
        if self._told_at is not None and now - self._told_at < RESEND_S:
            return None
        self._told_at = now
        return True

    def stopped(self, now: float) -> bool | None:
        """Nothing is being typed any more: False if somebody still believes it."""
        told_at, self._told_at = self._told_at, None
        return False if told_at is not None and now - told_at < FORGET_S else None

    def sent(self) -> None:
        """The text went out, which ends typing for everybody who sees it."""
        self._told_at = None
