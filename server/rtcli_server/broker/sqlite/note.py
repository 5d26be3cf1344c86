"""What is known of the log outside of its file and write-ahead log: a note in `PATH-lock`.

Theory: the note has the digest (rows.py) of the log as it was when something was acknowledged last, and
the one that the commit under way leads to. It is written before each commit and again before that commit is
acknowledged. So after the death of a process, whenever it comes, a file with either digest holds everything
that was acknowledged, and a file with another digest does not. Writing takes a microsecond: the note is not
synchronised. A loss of power may bring back an older one, which no busy log then agrees with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zlib import crc32

Synchronous = Literal["full", "normal"]
State = Literal["full", "normal", "closed", "damaged"]

NOTE_BYTES = 93
_MAGIC = "rtlg"
_STATES: dict[str, State] = {"full": "full", "normal": "normal", "closed": "closed", "damaged": "damaged"}
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Note:
    """One note. `state`: how an open log synchronises, or that it was closed, or is known to be damaged.

    `boot`: the id of the machine's boot when it was written; empty where the system has none.
    """

    state: State
    boot: str
    confirmed: int
    pending: int

    def proves(self, digest: int, boot: str) -> bool:
        """Whether a log with this digest, found in the boot `boot`, holds all that was ever acknowledged."""
        if self.state == "closed":
            return digest == self.confirmed
        if self.state == "damaged" or digest not in {self.confirmed, self.pending}:
            return False
        # With `normal`, a loss of power may bring back the log and the note of the same earlier moment.
        return self.state == "full" or bool(boot and boot == self.boot)


def encode(state: State, boot: str, confirmed: int, pending: int) -> bytes:
    """Encode a note in `NOTE_BYTES` bytes of ASCII: one line, ended by its own checksum."""
    text = f"{_MAGIC} {state:<7} {boot or '-':<36} {confirmed:016x} {pending:016x}".encode()
    return b"%s %08x\n" % (text, crc32(text))


def decode(raw: bytes) -> Note | None:
    """Decode a note; None when it says nothing: there never was one. What is no note says `damaged`."""
    if not raw.strip(b"\0 \n"):
        return None
    text, _, checksum = raw[:NOTE_BYTES].rstrip().rpartition(b" ")
    words = text.decode("ascii", "replace").split()
    if len(words) != 5 or words[0] != _MAGIC or checksum != b"%08x" % crc32(text):
        return Note("damaged", "", 0, 0)
    boot = "" if words[2] == "-" else words[2]
    return Note(_STATES[words[1]], boot, int(words[3], 16), int(words[4], 16))


class NoteFile:
    """Reads and writes the note through the descriptor of the lock file. Its calls raise OSError."""

    def __init__(self, fd: int, boot: str) -> None:
        self._fd = fd
        self._boot = boot

    def read(self) -> Note | None:
        """Read what the last process wrote; reserve the space, so that a note fits on a full disk."""
        raw = os.pread(self._fd, NOTE_BYTES, 0)
        if len(raw) < NOTE_BYTES:
            os.pwrite(self._fd, raw.ljust(NOTE_BYTES, b" "), 0)
        return decode(raw)

    def write(self, state: State, confirmed: int, pending: int) -> None:
        """Replace the note."""
        os.pwrite(self._fd, encode(state, self._boot, confirmed, pending), 0)

    def synchronise(self) -> None:
        """Wait until the note is on the disk."""
        os.fsync(self._fd)


def boot_id() -> str:
    """The id of the current boot of this machine; empty where the system has none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
