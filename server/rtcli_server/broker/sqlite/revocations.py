"""The table of revocations, one row for each subject. All of it runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Any

from rtcli_server.auth.revocations import Revocation, RevocationKind
from rtcli_server.broker.sqlite.damage import DamagedFileError
from rtcli_server.broker.sqlite.rows import is_whole, revocation_checksum
from rtcli_server.broker.validation import ForeignDataError, check_revocation

COLUMNS = "kind, subject, before_ms, until_ms, checksum"


def put(connection: sqlite3.Connection, revocation: Revocation) -> int:
    """Write one, merged with what is there; return by how much the digest changes. Raises sqlite3.Error."""
    kind, subject = str(revocation.kind), revocation.subject
    found = connection.execute(
        f"SELECT {COLUMNS} FROM revocations WHERE kind = ? AND subject = ?",  # noqa: S608 - constants
        (kind, subject),
    ).fetchone()
    merged = revocation if found is None else revocation.merged(_revocation(found))
    checksum = revocation_checksum(kind, subject, merged.before_ms, merged.until_ms)
    connection.execute(
        f"INSERT OR REPLACE INTO revocations ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (kind, subject, merged.before_ms, merged.until_ms, checksum),
    )
    return checksum - (0 if found is None else int(found[4]))


def expire(connection: sqlite3.Connection, over_at_ms: int) -> int:
    """Remove those that ended before; return by how much the digest changes. Raises sqlite3.Error."""
    gone = connection.execute("DELETE FROM revocations WHERE until_ms <= ? RETURNING checksum", (over_at_ms,))
    return -sum(int(checksum) for (checksum,) in gone.fetchall())


def read_all(connection: sqlite3.Connection) -> list[Revocation]:
    """Read all rows. Raises sqlite3.Error and DamagedFileError."""
    return [_revocation(row) for row in connection.execute(f"SELECT {COLUMNS} FROM revocations")]  # noqa: S608 - constants


def _revocation(row: tuple[Any, ...]) -> Revocation:
    kind, subject, before_ms, until_ms, _ = row
    if not is_whole(revocation_checksum, row):
        raise DamagedFileError("a revocation is not what was written")
    try:
        return check_revocation(
            Revocation(RevocationKind(kind), subject, before_ms=before_ms, until_ms=until_ms)
        )
    except (ForeignDataError, ValueError) as error:
        raise DamagedFileError(f"a revocation is none: {error}") from None
