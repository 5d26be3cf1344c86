"""The load client's sockets on picows: every frame is parsed. The targets were set with this method.

They cost the client about half a microsecond a message, which makes the client the limit of the fastest
servers: the counting sockets of `benchmarks.client.members` show what those can do.
"""

import asyncio
import time
from array import array
from collections import deque

import picows

from benchmarks.client.members import NUMBER

SMALLEST = 180
"""Bytes. Every chat message is larger; acknowledgements, joins and leaves are smaller: no deliveries."""


class StrictMember(picows.WSListener):
    """A member that counts the chat messages it gets once it has joined.

    `steps` as for `benchmarks.client.members.Connection`, without the handshake, which picows does.
    """

    transport: picows.WSTransport

    def __init__(self, steps: list[tuple[bytes, bytes]]) -> None:
        self.steps = deque(step for step in steps if step[0])
        self.waiting_for = b""
        self.live = False
        self.received = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Start with the first step."""
        self.transport = transport
        self.advance()

    def advance(self) -> None:
        """Send what is due next, or be live."""
        if self.steps:
            outgoing, self.waiting_for = self.steps.popleft()
            self.transport.underlying_transport.write(outgoing)
        else:
            self.live = True
            self.ready.set_result(None)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Count a delivery; before that, look for the awaited reply."""
        if self.live:
            if frame.payload_size > SMALLEST:
                self.received += 1
        elif frame.msg_type is picows.WSMsgType.CLOSE:
            transport.disconnect()
        elif self.waiting_for in frame.get_payload_as_bytes():
            self.advance()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Fail whoever still waits for this connection."""
        if not self.ready.done():
            said = transport.close_handshake.recv
            self.ready.set_exception(ConnectionError(f"closed before it was ready: {said}"))

    def abort(self) -> None:
        """Close at once."""
        self.transport.disconnect(graceful=False)


class StrictPublisher(StrictMember):
    """As `benchmarks.client.members.Publisher`: each own message that comes back lets another go out."""

    def __init__(self, steps: list[tuple[bytes, bytes]], frame: bytes, answer: bytes) -> None:
        super().__init__(steps)
        self.pieces = frame.split(b"%d" % NUMBER)
        self.answer = answer
        self.number = 0
        self.answered = 0
        self.stopped = False
        self.sent_at: deque[float] = deque()
        self.round_trips = array("d")

    def send(self, count: int) -> None:
        """Publish the next `count` messages in one write."""
        self.sent_at.extend([time.perf_counter()] * count)
        first, self.number = self.number, self.number + count
        frames = b"".join([(b"%08d" % n).join(self.pieces) for n in range(first, self.number)])
        self.transport.underlying_transport.write(frames)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Count a delivery; answer an own one with the next message."""
        if not self.live:
            super().on_ws_frame(transport, frame)
        elif frame.payload_size > SMALLEST:
            self.received += 1
            if self.answer in frame.get_payload_as_bytes():
                self.round_trips.append(time.perf_counter() - self.sent_at.popleft())
                self.answered += 1
                if not self.stopped:
                    self.send(1)
