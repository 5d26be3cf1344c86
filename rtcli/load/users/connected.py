"""What users over all transports do with their connection."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import ClassVar, Generic, NoReturn, Protocol, TypeVar

from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import ConnectError, RefusedError
from rtcli.load.scenario.model import Role
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.pending import answer, give_up
from rtcli.load.users.user import User


class Connection(Protocol):
    """A connection of a crowd."""

    def kill(self, how: Kill) -> None:
        """Lose it; nothing more is reported of it."""
        ...

    def read_freely(self) -> None:
        """Lift the limit of a slow reader."""
        ...


C = TypeVar("C", bound=Connection)


class ConnectedUser(User, Generic[C]):
    """A user with a connection of one kind. `greeting` is done when the server has let it in."""

    final: ClassVar[frozenset[int]]
    """Answers that say that the request is wrong, so that asking again is of no use."""

    def __init__(self, worker: WorkerContext, role: Role, index: int, number: int) -> None:
        super().__init__(worker, role, index, number)
        self.connection: C | None = None
        self.greeting: asyncio.Future[None] | None = None

    @abstractmethod
    def take_over(self, connection: C) -> None:
        """Take over what the connection has counted."""

    def ended(self, connection: C) -> None:
        """Note that the connection is over."""
        self.take_over(connection)

    def collect(self) -> None:
        """See Transport."""
        if self.connection is not None:
            self.take_over(self.connection)

    def read_freely(self) -> None:
        """See Transport."""
        if self.connection is not None:
            self.connection.read_freely()

    def drop(self, how: Kill | None) -> None:
        """See Transport."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.ended(connection)
            connection.kill(how or Kill.RST)

    def on_closed(self, code: int, reason: str) -> None:
        """See User."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.ended(connection)
        super().on_closed(code, reason)

    def forget(self) -> None:
        """See Transport."""
        give_up(self.greeting)

    def greeted(self) -> None:
        """Note that the server has let the user in."""
        answer(self.greeting)

    def failed(self, error: Exception) -> NoReturn:
        """Note that a connection could not be opened; raises ConnectError."""
        status = error.status if isinstance(error, RefusedError) else 0
        code = str(status) if status else type(error).__name__.removesuffix("Error").lower()
        self.worker.count(self.role, "connect_failed", code=code)
        now = self.worker.now()
        if self.connection is not None:
            self.drop(None)
            self.lose(now)
        else:
            for member in list(self.subscriber.memberships.values()):
                if member.joined is None:
                    self.worker.audit.given_up(self.subscriber, member, now)
        raise ConnectError(code, str(error) or "no answer", retryable=status not in self.final) from error
