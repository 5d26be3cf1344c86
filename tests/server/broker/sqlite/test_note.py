"""The note beside the SQLite log: what it proves, and what becomes of one that was damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtcli_server.broker.sqlite.note import NOTE_BYTES, Note, NoteFile, State, boot_id, decode, encode

BOOT = "5bd3a7e2-0f5f-4f0c-9d25-3c3d2a3e8f11"


@pytest.mark.parametrize("state", ["full", "normal", "closed", "damaged"])
@pytest.mark.parametrize("boot", [BOOT, ""])
def test_what_was_written_is_read(state: State, boot: str) -> None:
    raw = encode(state, boot, 5, 2**64 - 1)
    assert len(raw) == NOTE_BYTES
    assert decode(raw) == Note(state, boot, 5, 2**64 - 1)


@pytest.mark.parametrize("raw", [b"", b"\n", bytes(NOTE_BYTES), b" " * NOTE_BYTES])
def test_no_note_says_nothing(raw: bytes) -> None:
    assert decode(raw) is None


def test_a_note_with_a_flipped_bit_or_cut_short_says_damaged() -> None:
    raw = encode("full", BOOT, 5, 6)
    flipped = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw) - 1)]
    cut = [raw[:length] for length in range(1, len(raw) - 1)]
    other = [b"12".ljust(19) + b"\n", b"\xff" * NOTE_BYTES]
    assert {getattr(decode(found), "state", None) for found in flipped + cut + other} == {"damaged"}


@pytest.mark.parametrize(
    ("note", "digest", "boot", "proven"),
    [
        (Note("full", BOOT, 5, 6), 5, BOOT, True),
        (Note("full", BOOT, 5, 6), 6, BOOT, True),
        (Note("full", BOOT, 5, 6), 7, BOOT, False),
        (Note("full", BOOT, 5, 6), 6, "another", True),
        (Note("normal", BOOT, 5, 6), 5, BOOT, True),
        (Note("normal", BOOT, 5, 6), 5, "another", False),
        (Note("normal", "", 5, 6), 5, "", False),  # nobody knows whether the machine lost its power
        (Note("closed", BOOT, 5, 5), 5, "another", True),
        (Note("closed", BOOT, 5, 5), 6, BOOT, False),
        (Note("damaged", BOOT, 5, 5), 5, BOOT, False),
    ],
)
def test_what_a_note_proves(note: Note, digest: int, boot: str, *, proven: bool) -> None:
    assert note.proves(digest, boot) is proven


def test_the_space_for_a_note_is_reserved_before_it_is_needed(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        note = NoteFile(fd, boot_id())
        assert note.read() is None
        assert os.fstat(fd).st_size == NOTE_BYTES
        note.write("full", 1, 2)
        assert note.read() == Note("full", boot_id(), 1, 2)
        assert os.fstat(fd).st_size == NOTE_BYTES
    finally:
        os.close(fd)
