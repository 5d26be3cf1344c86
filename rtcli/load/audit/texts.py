"""Whether the text of a message came as it was sent: the length and checksum in its token tell.

Where the protocol says what the text is, all of it is compared. Elsewhere the text is what follows the token
in the received bytes: as it is, or as part of a JSON string (which may be in a JSON string itself); then
nobody can tell what was put in front of it or behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from rtcli.load.audit.token import LENGTH, MARK, Token, digest_of

_NESTED = 3  # JSON in a JSON string in a JSON string
_STRING = re.compile(rb'(?:[^"\\]|\\.)*', re.DOTALL)  # up to the quote that ends it
_ESCAPE = re.compile(rb"\\(?:u00([2-7][0-9A-Fa-f])|.)", re.DOTALL)
_KEEP_ESCAPED = b'"\\'


def find_tokens(data: bytes) -> tuple[bytes, list[int]]:
    """The received bytes, and where in them a token begins.

    A JSON encoder may write any character as an escape. If it did so in a token, the bytes are returned with
    their ASCII characters unescaped.
    """
    found = list(_marks(data))
    if b"\\u00" in data and (not found or any(b"\\" in data[at : at + LENGTH] for at in found)):
        data = _ESCAPE.sub(_unescape, data)
        found = list(_marks(data))
    return data, found


def _marks(data: bytes) -> Iterator[int]:
    at = data.find(MARK)
    while at >= 0:
        yield at
        at = data.find(MARK, at + LENGTH)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    character = b"" if code is None else bytes([int(code, 16)])
    return match[0] if not character or character in _KEEP_ESCAPED else character


def is_whole(token: Token, content: str) -> bool:
    """Whether the text of a message, token included, is the one that was sent."""
    return len(content) == LENGTH + token.length and digest_of(content[LENGTH:]) == token.digest


def find_text(token: Token, raw: bytes, at: int) -> bytes | None:
    """The part of `raw` that is the message's text; None when the text is not there as it was sent.

    `at` is where its token begins. The result is empty when the text is there, but not as a part of `raw`
    that would be the same in other frames.
    """
    behind = raw[at + LENGTH :]
    text = behind[: 4 * token.length].decode("utf-8", "replace")[: token.length]
    as_it_is = raw[at : at + LENGTH + len(text.encode())] if _begins(text, token) else None
    if as_it_is is not None and not (b"\\" in as_it_is or b'"' in as_it_is):  # in JSON, these mean others
        return as_it_is
    mark = raw[at : at + LENGTH].decode()
    document = _parse(raw)
    if document is not None:
        if not _is_in(document, mark, token):
            return None
    elif as_it_is is not None:
        return as_it_is
    string = _STRING.match(behind)
    written = b"" if string is None else string[0]
    parsed = _parse(b'"%b"' % written)
    if isinstance(parsed, str) and _begins(parsed, token):
        ends = len(parsed) == token.length
        return raw[at : at + LENGTH + len(written) + 1] if ends else b""
    return None if document is None else b""


def _begins(text: str, token: Token) -> bool:
    """Whether a text begins with what was behind the token when it was sent."""
    return len(text) >= token.length and digest_of(text[: token.length]) == token.digest


def _parse(raw: bytes | str) -> object:
    """The JSON of a frame or a string; None when it is not JSON."""
    try:
        return json.loads(raw, strict=False)
    except (ValueError, RecursionError):
        return None


def _is_in(document: object, mark: str, token: Token) -> bool:
    """Whether the message's text is in a string of the document."""
    try:
        return any(_begins(text, token) for text in _behind_mark(document, mark))
    except RecursionError:
        return False


def _behind_mark(tree: object, mark: str, depth: int = 0) -> Iterator[str]:
    """What follows the token in each string of a JSON tree, and of JSON in its strings."""
    if isinstance(tree, str):
        _, found, text = tree.partition(mark)
        if found:
            yield text
            if depth < _NESTED:
                yield from _behind_mark_in_string(tree, mark, depth)
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _behind_mark(value, mark, depth)


def _behind_mark_in_string(text: str, mark: str, depth: int) -> Iterator[str]:
    inner = _parse(text)
    if isinstance(inner, dict | list):
        yield from _behind_mark(inner, mark, depth + 1)


def difference(token: Token, content: str | None) -> str:
    """How a text differs from the one that was sent, in words. None: nobody can tell where it ends."""
    length = LENGTH + token.length
    if content is None or len(content) == length:
        return "its text was changed"
    return (
        "its text is shorter than what was sent"
        if len(content) < length
        else "its text is longer than what was sent"
    )
