"""Names of which nothing can be seen are no names, wherever names are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.names import DEFAULT_IGNORABLE, EMPTY, WHITE_SPACE, is_blank
from rtcli.protocol.publication import is_valid_event_name
from rtcli.protocol.rooms import is_valid_room
from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.auth.claims import UNKNOWN_NAME, principal_from_claims

SEEN = [
    "\u3164",
    "\u2800",
    "\u115f",
    "\u1160",
    "\uffa0",
    "\u034f",
    "\ufe0f",
    "\u17b5",
    "\u200b",
    "\u00a0",
    "\x00",
]
EVERY_CHARACTER = list(map(chr, range(sys.maxunicode + 1)))
INVISIBLE = [character for character in EVERY_CHARACTER if is_blank(character)]


def display_name(name: str) -> str:
    claims = {"sub": "7", "exp": 2.0, "name": name}
    return principal_from_claims(claims, {}, now=1.0, leeway_s=0.0).name


@given(st.text(st.sampled_from([*SEEN, *INVISIBLE]), max_size=20))
def test_nobody_and_nothing_has_a_blank_name(name: str) -> None:
    assert is_blank(name)
    assert not is_valid_room(name)
    assert not is_valid_user_id(name)
    assert not is_valid_event_name(name)
    assert display_name(name) == UNKNOWN_NAME


@pytest.mark.parametrize("name", ["a", "❤️", "日本", "한글", "ᄀᅠ", "-", "é", "क्‍ष"])
def test_a_name_of_which_something_is_seen(name: str) -> None:
    assert not is_blank(name)
    assert display_name(name)[0] == name[0]


def test_what_is_printed_with_ink_is_visible() -> None:
    """No letter, digit, mark of punctuation or symbol is taken for nothing, but for those that are named."""
    inked = {c for c in INVISIBLE if unicodedata.category(c)[0] in "LNPS" and c not in EMPTY}
    assert {unicodedata.name(c) for c in inked} == {
        "HANGUL CHOSEONG FILLER",
        "HANGUL JUNGSEONG FILLER",
        "HANGUL FILLER",
        "HALFWIDTH HANGUL FILLER",
    }
    assert len(EMPTY) == 6


PROPERTY = """
const found = [];
for (let code = 0; code <= 0x10ffff; code++)
  if (!(code >= 0xd800 && code < 0xe000) && /^\\p{%s}$/u.test(String.fromCodePoint(code))) found.push(code);
console.log(JSON.stringify(found));
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "ours"), [("White_Space", WHITE_SPACE), ("Default_Ignorable_Code_Point", DEFAULT_IGNORABLE)]
)
def test_the_properties_are_those_of_unicode(name: str, ours: str) -> None:
    """As another implementation of Unicode has them."""
    node = subprocess.run(["node", "-e", PROPERTY % name], capture_output=True, check=True, timeout=60)
    class_ = re.compile(f"[{ours}]")
    assert [ord(c) for c in EVERY_CHARACTER if class_.match(c)] == json.loads(node.stdout)
