"""What an HTTP answer with an error says itself, in a few words. Pure.

RFC 9457 has `detail` and `title`; others write `message`, or `error`, with a message in it.
"""

from __future__ import annotations

import msgspec

MAX_BYTES = 16_384  # of an answer that is looked at
_MAX_CHARACTERS = 200
_KEYS = ("detail", "message", "error", "error_description", "title", "reason")


def explanation(content_type: str, body: bytes) -> str:
    """The explanation in the body of an answer; empty if there is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            text = _find(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
    elif kind == "text/plain":
        text = body[:MAX_BYTES].decode("utf-8", "replace")
    else:
        return ""
    line = text.strip().partition("\n")[0].rstrip(". \r")
    return line if len(line) <= _MAX_CHARACTERS else f"{line[:_MAX_CHARACTERS]}…"


def _find(tree: object) -> str:
    """The first text under a name that is used for one."""
    while isinstance(tree, dict):
        tree = next((tree[key] for key in _KEYS if isinstance(tree.get(key), str | dict)), None)
    return tree if isinstance(tree, str) else ""
