"""What tests of a session put in the place of a user, of a clock and of a connection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

WALL = 1_000_000.0


@dataclass
class FakeRights:
    """Whoever the test wants the user to be."""

    user_id: str = "7"
    expires_at: float = WALL + 3600
    may_join: frozenset[str] | None = None  # None: every room
    read_only: frozenset[str] = field(default_factory=frozenset)

    def can_join(self, room: str) -> bool:
        return self.may_join is None or room in self.may_join

    def can_publish(self, room: str) -> bool:
        return self.can_join(room) and room not in self.read_only


def text(type_: str, id_: str | None = None, **data: object) -> str:
    return json.dumps({"type": type_, "data": data} | ({} if id_ is None else {"id": id_}))
