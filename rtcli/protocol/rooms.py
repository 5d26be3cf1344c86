"""Names of rooms (protocol.md, section 1)."""

from __future__ import annotations

import re
import unicodedata

from rtcli.protocol.names import is_blank

MAX_ROOM_CHARACTERS = 128
_PLAIN = re.compile(r"[A-Za-z0-9_.:@!$&'()*+;<>\[\]\\^`{|}/-]{1,128}", re.ASCII)
_RESERVED = frozenset(',=#?%"~')
# Control characters, separators, and the marks that change the direction of text have these categories.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})


def is_valid_room(name: object) -> bool:
    """Whether `name` is 1-128 printable characters in NFC without white space or any of `, = # ? % " ~`.

    It must not be blank.
    """
    if not isinstance(name, str):
        return False
    if _PLAIN.fullmatch(name):
        return True
    if not 1 <= len(name) <= MAX_ROOM_CHARACTERS or not _RESERVED.isdisjoint(name):
        return False
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        return False
    return not is_blank(name) and unicodedata.is_normalized("NFC", name)
