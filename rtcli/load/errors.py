"""What can go wrong with a user: its connection, a step of its flow."""

from __future__ import annotations


class LostError(Exception):
    """The connection went away while something was waited for."""


class RefusedError(Exception):
    """The server answered with something else. `status` is HTTP's, 0 when it was not HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ConnectError(Exception):
    """A connection could not be opened. `again`: it may work later."""

    def __init__(self, code: str, text: str, *, again: bool = True) -> None:
        super().__init__(text)
        self.code = code
        self.again = again


class OverError(Exception):
    """The user cannot go on: lost, and not meant to come back."""


class StepError(Exception):
    """A step did not work out; `code` is what counts in `errors`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
