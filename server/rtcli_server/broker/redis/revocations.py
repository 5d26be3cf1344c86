"""Revocations in Redis: one hash for the deployment, `rt:{revoked}:h`. It expires with the last of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from rtcli_server.auth.revocations import MAX_LISTED, OVER_FOR_MS, Revocation, RevocationKind
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.redis.link import Link, pack
from rtcli_server.broker.redis.scripts import CoordinatorScripts
from rtcli_server.broker.redis.wire import Names
from rtcli_server.broker.validation import ForeignDataError, check_revocation

TAG = "revoked"
AT_ONCE = 1_000  # fields that one request reads, so that neither Redis nor the loop is held
_LAST = b"until"
_VALUE = re.compile(rb"([0-9]{1,15}) ([0-9]{1,15})")


class _Piece(NamedTuple):
    """Some fields with their values, and where to read on; b"0" at the end."""

    cursor: bytes
    fields: list[bytes]


class RevocationHash:
    """Adds to the hash and reads it, over `link()`."""

    def __init__(
        self,
        names: Names,
        link: Callable[[], Link],
        scripts: CoordinatorScripts,
        foreign: ForeignContent,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._key = names.of(TAG, "h")
        self._link = link
        self._scripts = scripts
        self._foreign = foreign
        self._now_ms = now_ms

    async def add(self, revocation: Revocation) -> None:
        """Keep one. Raises BrokerUnavailableError."""
        field = f"{revocation.kind}:{revocation.subject}".encode()
        times = (b"%d" % revocation.before_ms, b"%d" % revocation.until_ms)
        packed = self._scripts.call("revoke", [self._key], field, *times)
        await self._link().request(packed, int, self._key)

    async def read(self) -> list[Revocation]:
        """Read all that are not over, and remove those that are long over. Raises BrokerUnavailableError."""
        found: dict[bytes, Revocation] = {}
        cursor = b"0"
        while len(found) < MAX_LISTED:
            packed = pack([b"HSCAN", self._key, cursor, b"COUNT", b"%d" % AT_ONCE])
            piece = await self._link().request(packed, _parse_piece, self._key)
            revocations = self._revocations(piece.fields)
            now_ms = self._now_ms()
            found |= {field: one for field, one in revocations.items() if one.until_ms > now_ms}
            over_at_ms = now_ms - OVER_FOR_MS
            over = [field for field, one in revocations.items() if one.until_ms < over_at_ms]
            await self._remove(over, over_at_ms)
            cursor = piece.cursor
            if cursor == b"0":
                break
        return list(found.values())

    async def _remove(self, fields: list[bytes], over_at_ms: int) -> None:
        if fields:
            packed = self._scripts.call("forget", [self._key], b"%d" % over_at_ms, *fields)
            await self._link().request(packed, int, self._key)

    def _revocations(self, piece: list[bytes]) -> dict[bytes, Revocation]:
        found = {}
        for field, value in zip(piece[::2], piece[1::2], strict=False):
            if field == _LAST:
                continue
            try:
                found[field] = _parse(field, value)
            except ForeignDataError as error:
                self._foreign.skip(Place.REVOCATION, TAG, error)
        return found


def _parse(field: bytes, value: bytes) -> Revocation:
    times = _VALUE.fullmatch(value)
    kind, _, subject = field.partition(b":")
    if times is None:
        raise ForeignDataError("not a revocation")
    try:
        revocation = Revocation(
            RevocationKind(kind.decode()), subject.decode(), before_ms=int(times[1]), until_ms=int(times[2])
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise ForeignDataError(str(error)) from error
    return check_revocation(revocation)


def _parse_piece(answer: object) -> _Piece:
    match answer:
        case [bytes(cursor), list(fields)]:
            return _Piece(cursor, [field for field in fields if isinstance(field, bytes)])
    raise ForeignDataError("not an answer of HSCAN")
