"""HTTP connections, as far as their answers are concerned: what waits in them, and who does not read.

Event streams are clients of the hub; what waits in them is not counted here.
"""

from __future__ import annotations

from rtcli_server.connections.process_budget import Output
from rtcli_server.connections.send_budget import SendBudget


class Answers:
    """The HTTP connections of this process.

    `deadline_s`: how long a client may let much of an answer wait, or anything after the end of its
    connection, before that is cut off.
    """

    def __init__(self, budget: SendBudget, *, deadline_s: float) -> None:
        self.outputs: set[Output] = set()
        self.drained_count = 0  # how often so far much waited, and does not any more
        self._budget = budget
        self.deadline_s = deadline_s
        self._busy_since: dict[Output, float] = {}

    def add(self, output: Output) -> None:
        """Watch a new connection."""
        self.outputs.add(output)

    def remove(self, output: Output) -> None:
        """Forget a connection that is closed, or that is not used for HTTP any more."""
        self.outputs.discard(output)
        self.drained(output)

    def busy(self, output: Output, now: float) -> None:
        """Begin the deadline: much waits in this connection since `now` (monotonic seconds)."""
        self._budget.busy.add(output)
        self._busy_since[output] = now

    def drained(self, output: Output) -> None:
        """End the deadline: the client has read what waited."""
        self._budget.busy.discard(output)
        if self._busy_since.pop(output, None) is not None:
            self.drained_count += 1

    def tick(self, now: float) -> None:
        """Cut off the clients that have not read for too long."""
        late = [output for output, since in self._busy_since.items() if now - since > self.deadline_s]
        for output in late:
            self.drained(output)
            output.cut_off()
