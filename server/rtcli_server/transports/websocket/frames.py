"""Rules and limits for frames (RFC 6455, section 5): fragments of a message, control frames, close codes."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from rtcli.protocol.codes import CloseCode

MAX_CONTROL_PER_S = 1_000


class FrameError(Exception):
    """A frame that ends the connection, with the close code that says why."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ControlFrameLimit:
    """Limits the pings and pongs of one client: they are no messages, so no other rate limit counts them."""

    __slots__ = ("_count", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._count = 0

    def take(self, now: float) -> None:
        """Count one frame at `now` (monotonic seconds). Raises FrameError for too many within a second."""
        second = int(now)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MAX_CONTROL_PER_S:
            raise FrameError(CloseCode.REFUSED, "too many pings")


class FragmentedMessage:
    """One message that is not complete yet. The owner schedules it as a timer; `on_late` is called then."""

    __slots__ = ("_count", "_decoder", "_on_late", "_size", "_texts", "slot")

    def __init__(self, *, is_text: bool, on_late: Callable[[], None]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None
        self._texts: list[str] = []
        self._size = 0
        self._count = 0
        self._on_late = on_late
        self.slot = 0

    def add(self, payload: bytes, *, final: bool, max_bytes: int, max_count: int) -> None:
        """Add the next fragment. Raises FrameError: too many, too large, or not UTF-8 (section 8.1)."""
        self._count += 1
        self._size += len(payload)
        if self._size > max_bytes:
            raise FrameError(CloseCode.TOO_BIG, f"message over {max_bytes} bytes")
        if self._count > max_count:
            raise FrameError(CloseCode.REFUSED, f"message in more than {max_count} fragments")
        if self._decoder is not None:
            try:
                self._texts.append(self._decoder.decode(payload, final))
            except UnicodeDecodeError:
                raise FrameError(CloseCode.INVALID_PAYLOAD, "not UTF-8") from None

    def text(self) -> str | None:
        """Return the complete message, or None when it is binary."""
        return None if self._decoder is None else "".join(self._texts)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Call `on_late`: the message is not complete in time."""
        self._on_late()


def check_close_payload(payload: bytes) -> FrameError | None:
    """Return what is wrong with the body of a close frame, or None (sections 5.5.1 and 7.4)."""
    if not payload:
        return None
    if len(payload) == 1:
        return FrameError(CloseCode.PROTOCOL_ERROR, "close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    # 1004-1006 and 1015 are reserved, 1016-2999 not defined yet; 0-999 are not used (section 7.4.2).
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        return FrameError(CloseCode.PROTOCOL_ERROR, "close code that must not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return FrameError(CloseCode.INVALID_PAYLOAD, "close reason is not UTF-8")
    return None
