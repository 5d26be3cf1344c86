"""What the protocol allows, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from rtcli.protocol.position import MAX_OFFSET, Position
from tests.support.protocol.room_names import room_names

# Any text that may stand in a message: no surrogates, no NUL.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))

ids = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=64)

contents = texts.filter(bool)

positions = st.builds(
    Position,
    st.from_regex(r"[a-z0-9]{4,16}", fullmatch=True),
    st.integers(0, MAX_OFFSET),
)

rooms = st.from_regex(r"[a-z][a-z0-9_.:-]{0,20}", fullmatch=True) | room_names

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
