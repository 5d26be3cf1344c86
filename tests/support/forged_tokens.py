"""Tokens that no honest issuer makes: any header, any payload bytes, signed correctly with HS256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

SECRET = "correct horse battery staple, 32+ bytes"
NOW = 1_800_000_000.0


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: object, payload: object, *, secret: str = SECRET) -> str:
    """Join and sign; bytes are taken as they are, anything else as JSON (with NaN where Python has it)."""
    parts = [raw if isinstance(raw, bytes) else json.dumps(raw).encode() for raw in (header, payload)]
    signed = ".".join(map(base64url, parts))
    mac = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64url(mac)}"


def forge(_header: object = None, **claims: object) -> str:
    """A token of user 7, valid for an hour from NOW, with these claims on top."""
    return sign(
        _header if _header is not None else {"alg": "HS256", "typ": "JWT"},
        {"sub": "7", "exp": NOW + 3600, **claims},
    )
