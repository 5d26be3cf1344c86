"""What counts as damage to the files of the SQLite log, apart from what passes (a full disk, a lock)."""

from __future__ import annotations

import sqlite3

# Result codes that say so (https://sqlite.org/rescode.html). The first two are primary codes: all of their
# extended ones count. A short read means that a file is shorter than SQLite knows it to be.
_PRIMARY = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_EXTENDED = {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


class DamagedFileError(OSError):
    """A file of the log was removed, replaced or shortened, or does not hold what was written to it."""


def is_damage(error: Exception) -> bool:
    """Whether an error of a statement that is right means that the files are not what was written.

    No row of ours violates a constraint, and no statement names a table that is not there.
    """
    if isinstance(error, DamagedFileError | sqlite3.IntegrityError):
        return True
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _PRIMARY or code in _EXTENDED:
        return True
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("no such ")
