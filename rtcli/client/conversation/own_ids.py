"""The ids of what a client sends: made here, or given by its user. Pure."""

from __future__ import annotations

_MAX_GIVEN = 1_000  # ids of the user that are known as ours


class OwnIds:
    """Makes ids, and knows those that this client has sent.

    `prefix` is another one for each process: ids are idempotency keys of the user, not of the client.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._given: dict[str, None] = {}

    def next(self, kind: str) -> str:
        """Make an id. `kind` is a letter that tells people what it is for."""
        self._count += 1
        return f"{self._prefix}-{kind}{self._count}"

    def remember(self, identifier: str) -> str:
        """Know an id of the user's as ours, and return it; the oldest are forgotten."""
        self._given[identifier] = None
        if len(self._given) > _MAX_GIVEN:
            del self._given[next(iter(self._given))]
        return identifier

    def __contains__(self, identifier: str | None) -> bool:
        return identifier is not None and (
            identifier.startswith(f"{self._prefix}-") or identifier in self._given
        )
