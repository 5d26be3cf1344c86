"""What all names have in common: something of them can be seen (protocol.md, section 1).

A name that is blank says nothing to people, and can be taken for another one. What is invisible is told by
properties of Unicode, and not by a list of what was misused so far.
"""

from __future__ import annotations

import re

# The property White_Space (PropList.txt).
WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# The property Default_Ignorable_Code_Point (DerivedCoreProperties.txt): what is shown as nothing. Fillers of
# Hangul are among them, marks of direction, joiners and variation selectors.
DEFAULT_IGNORABLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Characters with an empty picture, which no property tells: the blank Braille pattern, the replacement of an
# object, the filler of Khitan, the full and the half blank of hieroglyphs, the null note head.
EMPTY = "\u2800\ufffc\U00016fe4\U00013441\U00013442\U0001d159"
_CONTROLS = "\0-\x1f\x7f-\x9f\ud800-\udfff"
_VISIBLE = re.compile(f"[^{WHITE_SPACE}{DEFAULT_IGNORABLE}{EMPTY}{_CONTROLS}]")


MAX_NAME_CHARACTERS = 128
# Clients of HTTP take these out of a path before they send it (RFC 3986, section 5.2.4), browsers and Node
# also when they are percent-encoded: a request about the user `..` would be about all users. So nothing that
# paths name is called so.
DOT_SEGMENTS = frozenset({".", ".."})


def is_valid_name(text: str) -> bool:
    """Whether somebody may be shown under this name: 1-128 printable characters, and not blank."""
    return 1 <= len(text) <= MAX_NAME_CHARACTERS and text.isprintable() and not is_blank(text)


def is_blank(text: str) -> bool:
    """Whether nothing of `text` can be seen."""
    return _VISIBLE.search(text) is None
