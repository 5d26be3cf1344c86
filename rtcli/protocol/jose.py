"""The header and the claims of a token become values, strictly: all parsers must read them alike.

RFC 7515, section 4, and RFC 7519, section 4: a name that occurs twice is refused, or the last one counts.
Who verifies a token and who reads it later may choose differently, so it is refused here.
"""

from __future__ import annotations

import base64
from typing import Any

from rtcli.protocol.messages.strict_json import NotAcceptedError, parse_unique


def parse_part(segment: str) -> dict[str, Any]:
    """Read the first or the second segment of a token: base64url of a JSON object.

    Raises NotAcceptedError: it is not, or a name occurs twice in an object, or it has NaN or Infinity.
    """
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise NotAcceptedError("not base64url") from None
    return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read a segment that was decoded already. Raises NotAcceptedError."""
    try:
        value = parse_unique(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise NotAcceptedError("not UTF-8") from None
    if not isinstance(value, dict):
        raise NotAcceptedError("not an object")
    return value
