"""Names of rooms (protocol.md, section 1)."""

from __future__ import annotations

import re
import unicodedata

from rtcli.protocol.names import DOT_SEGMENTS, is_blank

MAX_ROOM_CHARACTERS = 128
# No character becomes more than four when it is decomposed (Unicode Standard Annex #15, section 9, has the
# factors), so what is longer than this has an NFC that is too long for a name.
MAX_SENT_CHARACTERS = 4 * MAX_ROOM_CHARACTERS
ROOM_RULE = 'up to 128 printable characters, single spaces between words, none of: ? " ~, and not . or ..'
_PLAIN = re.compile(r"[!#->@-}]+(?: [!#->@-}]+)*", re.ASCII)
_RESERVED = frozenset('?"~')
# What has no width, and is of another category than those below: grapheme joiner, fillers of Hangul, inherent
# vowels of Khmer. Variation selectors are not among them: they choose the picture of what is before them.
_ZERO_WIDTH = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Control characters, separators, and the marks that change the direction of text have these categories.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})


def is_valid_room(name: object) -> bool:
    """Whether `name` is the name of a room as it is kept: 1-128 printable characters in NFC.

    Single spaces may stand within it, and no other white space; none of `? " ~` may. It must not be blank,
    nor `.` or `..`.
    """
    if not isinstance(name, str) or len(name) > MAX_ROOM_CHARACTERS:
        return False
    if name.isascii():
        return _PLAIN.fullmatch(name) is not None and name not in DOT_SEGMENTS
    if not _RESERVED.isdisjoint(name) or not _ZERO_WIDTH.isdisjoint(name):
        return False
    if not unicodedata.is_normalized("NFC", name) or "" in name.split(" "):
        return False
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name.replace(" ", "")):
        return False
    return not is_blank(name)


def nfc(name: str) -> str:
    """Return the NFC of a name, for what is sent; what is too long for a name is returned as it is."""
    if name.isascii() or len(name) > MAX_SENT_CHARACTERS or unicodedata.is_normalized("NFC", name):
        return name
    return unicodedata.normalize("NFC", name)


def room_of(name: str) -> str | None:
    """Return the name of the room that somebody calls `name`, in NFC; None when it is that of no room."""
    room = nfc(name)
    return room if is_valid_room(room) else None
