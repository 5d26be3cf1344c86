"""How much may wait for one client: its own budget, or less while many clients let much wait.

Pure: transports ask, `SlowConsumers` and the transports of HTTP report who is busy.
"""

from __future__ import annotations


def memory_of(text: str | bytes) -> int:
    """At most how many bytes a text takes in memory: in Python up to four for each character."""
    return len(text) if text.isascii() else 4 * len(text)


class SendBudget:
    """The marks for the bytes that wait in one transport.

    `client_bytes`: what may wait for one client; `process_bytes`: for all clients of this process.

    - Over `high_bytes`, a transport is busy, until no more than `low_bytes` wait: replays and the answers to
      further commands wait, and live publications are written with a check.
    - Over `limit_bytes`, it is full, and live publications wait in the log too. All busy transports together
      may hold half of what the process may; the rest is for those that hold a little.
    - `piece_bytes` of a replay are written at once.
    """

    def __init__(self, client_bytes: int, process_bytes: int) -> None:
        self._client_bytes = client_bytes
        self.process_bytes = process_bytes
        self.high_bytes = client_bytes // 8
        self.low_bytes = client_bytes // 32
        self.piece_bytes = client_bytes // 16
        self.busy: set[object] = set()

    @property
    def limit_bytes(self) -> int:
        """What may wait for a busy client now."""
        share = self.process_bytes // 2 // max(1, len(self.busy))
        return max(self.high_bytes, min(self._client_bytes, share))
