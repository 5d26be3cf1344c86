"""What can go wrong with a user: its connection, a step of its flow."""

from __future__ import annotations


class LostError(Exception):
    """The connection was lost while something waited for an answer over it."""


class RefusedError(Exception):
    """The server did not open the connection. `status` is of HTTP, 0 without an HTTP answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ConnectError(Exception):
    """A connection could not be opened.

    `code` is the tag of `connect_failed`: the HTTP status or the kind of error. `retryable`: another attempt
    may succeed.
    """

    def __init__(self, code: str, text: str, *, retryable: bool = True) -> None:
        super().__init__(text)
        self.code = code
        self.retryable = retryable


class GaveUpError(Exception):
    """The user lost its connection and does not come back."""


class StepError(Exception):
    """A step failed; `code` is its tag in `errors`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class AdapterFailedError(Exception):
    """A method of an installed adapter raised, or returned what it must not; the text says which."""

    def __init__(self, protocol: str, text: str) -> None:
        super().__init__(text)
        self.protocol = protocol
