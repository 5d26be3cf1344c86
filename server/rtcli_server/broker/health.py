"""Whether a store takes publications and delivers them, and what the operator is told of it.

Each cause that ends this is one line in the log, however often it is met; the end of all of them is another.
"""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class StoreHealth:
    """The state of one store, which its name describes to people. At first nothing is known, so it is bad."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._causes: dict[str, None] = {}  # those that were told since it worked
        self.works = False

    # The whole line is the text, because logs limit how often the same text comes (process/logs.py).

    def failed(self, cause: str, text: str) -> None:
        """Record that it does not work. `cause` tells causes apart, `text` says what it is."""
        self.works = False
        if cause not in self._causes:
            self._causes[cause] = None
            line = f"{self._name}: not ready: {text}"
            _log.error(line)

    def symptom(self, cause: str, text: str) -> None:
        """Record what follows from another cause, which is told where it is found; if none is, tell this."""
        self.works = False
        if not self._causes:
            self.failed(cause, text)

    def worked(self) -> None:
        """Record that a publication was taken and delivered."""
        self.works = True
        if self._causes:
            what = ", ".join(self._causes)
            self._causes.clear()
            line = f"{self._name}: ready again: publications are taken and delivered; over is: {what}"
            _log.warning(line)
