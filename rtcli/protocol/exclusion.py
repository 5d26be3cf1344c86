"""Who does not get the content of a publication (protocol.md, section 5)."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

MAX_EXCLUDED = 100  # users and connections of one publication, together
MAX_EXCLUSION_BYTES = 16_384  # of all their names, as JSON
_NAME_BYTES = 100  # in memory, what a name takes besides its characters


_CONNECTION_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def is_connection_id(text: str) -> bool:
    """Whether `text` may be the id of a connection: 1-64 letters, digits and hyphens."""
    return _CONNECTION_ID.fullmatch(text) is not None


class InvalidExclusionError(ValueError):
    """Too many are excluded, or it is no exclusion; the text says which."""


class Exclusion(msgspec.Struct, frozen=True):
    """Users, and connections by their ids, that get the position of a publication without its content."""

    users: frozenset[str] = frozenset()
    connections: frozenset[str] = frozenset()

    def covers(self, user_id: str, connection_id: str | None = None) -> bool:
        """Whether this user, or this connection of theirs, is excluded."""
        return user_id in self.users or connection_id in self.connections

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory."""
        return sum(_NAME_BYTES + 4 * len(name) for names in (self.users, self.connections) for name in names)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    users: list[str] = []
    connections: list[str] = []


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


def new_exclusion(users: Collection[str], connections: Collection[str]) -> Exclusion | None:
    """Make an exclusion; None where nobody is excluded. Raises InvalidExclusionError for too many."""
    if not users and not connections:
        return None
    if len(users) + len(connections) > MAX_EXCLUDED:
        raise InvalidExclusionError(f"More than {MAX_EXCLUDED} are excluded")
    exclusion = Exclusion(frozenset(users), frozenset(connections))
    try:
        size = len(encode_exclusion(exclusion))
    except UnicodeEncodeError:
        raise InvalidExclusionError("Not a text") from None
    if size > MAX_EXCLUSION_BYTES:
        raise InvalidExclusionError(f"The excluded have more than {MAX_EXCLUSION_BYTES} bytes")
    return exclusion


def encode_exclusion(exclusion: Exclusion) -> bytes:
    """Encode it for a store: one line of JSON."""
    return _encode({"users": sorted(exclusion.users), "connections": sorted(exclusion.connections)})


def decode_exclusion(data: bytes) -> Exclusion:
    """Read what `encode_exclusion` makes. Raises InvalidExclusionError."""
    try:
        stored = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidExclusionError(str(error)) from error
    exclusion = new_exclusion(stored.users, stored.connections)
    if exclusion is None:
        raise InvalidExclusionError("Nobody is excluded")
    return exclusion
