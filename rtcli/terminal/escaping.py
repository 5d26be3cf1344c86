"""Makes text from the network harmless for a terminal: control and direction characters are escaped. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

# C0, DEL, C1; line and paragraph separators; bidirectional marks, overrides and isolates; surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# In JSON text, C0 is escaped by the format itself; these are not.
_UNSAFE_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or (
        f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
    )


def escape(text: str, *, limit: int | None = None) -> str:
    r"""Make foreign text harmless for a terminal: control and direction characters become `\x1b`, `\u202e`.

    `limit` cuts to that many characters: for names, reasons and the like, not for data.
    """
    if limit is not None and len(text) > limit:
        text = text[:limit] + "…"
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_visible, text)


def escape_json(text: str) -> str:
    r"""Make JSON text harmless for a terminal and keep its value: `\u009b` instead of the character."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def json_text(record: Mapping[str, object]) -> str:
    """One record as one line of JSON that is harmless for a terminal."""
    import msgspec.json  # noqa: PLC0415 - not needed by `rtcli --version`

    return escape_json(msgspec.json.encode(record).decode("utf-8", "replace"))
