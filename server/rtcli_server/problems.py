"""Errors over HTTP: `application/problem+json` (RFC 9457) with the error codes of the protocol.

Every error of every route has this form, those of the framework (404, 405, 422) included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import msgspec

from rtcli.protocol.codes import ERROR_TEXT, ErrorCode

CONTENT_TYPE = "application/problem+json"

# The error code for a status without a code.
_CODES = {
    400: ErrorCode.INVALID_MESSAGE,
    401: ErrorCode.INVALID_TOKEN,
    403: ErrorCode.FORBIDDEN,
    413: ErrorCode.TOO_LONG,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}
_TEXTS = {
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This method is not allowed here"),
    413: (ErrorCode.TOO_LONG, "The body is too long"),
    415: ("unsupported_media_type", "The body must be application/json"),
    426: ("upgrade_required", "This is the address of a WebSocket"),
    501: ("not_implemented", "This is not understood here"),
    505: ("http_version_not_supported", "This server speaks HTTP/1.1"),
}


class FieldError(TypedDict):
    """One mistake in a body or parameter: its place (`data.room`), and what is wrong there."""

    field: str
    message: str


class ProblemError(Exception):
    """A request that is answered with an error. `code` is an ErrorCode, or a word for the HTTP status."""

    def __init__(
        self,
        status: int,
        code: ErrorCode | str | None = None,
        detail: str | None = None,
        *,
        retry_after_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        known_code, known_detail = _TEXTS.get(status, (None, None))
        self.status = status
        self.code = str(code or known_code or _CODES.get(status, _fallback(status)))
        self.detail = detail or known_detail or _detail_of(self.code, status)
        self.retry_after_ms = retry_after_ms
        self.errors = errors
        self._headers = headers or {}
        super().__init__(f"{status} {self.code}")

    def body(self) -> bytes:
        """Encode the body. It has no `type`, which means `about:blank` (RFC 9457, section 4.2.1)."""
        problem: dict[str, object] = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.retry_after_ms is not None:
            problem["retry_after_ms"] = self.retry_after_ms
        if self.errors:
            problem["errors"] = list(self.errors)
        return msgspec.json.encode(problem)

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer; `Retry-After` is in whole seconds, rounded up."""
        headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store", **self._headers}
        if self.status == 401:
            # RFC 6750, section 3. The client is not told the cause, here as elsewhere.
            headers["www-authenticate"] = 'Bearer error="invalid_token"'
        if self.retry_after_ms is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after_ms / 1000))
        return headers


def _fallback(status: int) -> ErrorCode:
    return ErrorCode.INTERNAL if status >= 500 else ErrorCode.INVALID_MESSAGE


def _detail_of(code: str, status: int) -> str:
    try:
        return ERROR_TEXT[ErrorCode(code)]
    except ValueError:
        return HTTPStatus(status).phrase


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457, with the error codes of the protocol",
    "type": "object",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "title": {"type": "string", "examples": ["Bad Request"]},
        "status": {"type": "integer", "examples": [400]},
        "code": {"type": "string", "examples": ["invalid_room"]},
        "detail": {"type": "string", "examples": ["Not a valid room name"]},
        "retry_after_ms": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the error answers of a route for OpenAPI: those of every route, and `statuses`."""
    texts = {
        400: "The request does not follow the protocol",
        401: "No valid token",
        403: "The token does not allow this",
        404: "There is nothing of that name",
        406: "The client accepts no event streams",
        409: "The id was used for something else",
        413: "The body is too long",
        415: "The body is not application/json",
        429: "Too many requests",
        503: "The log cannot do this now",
    }
    content = {"application/problem+json": {"schema": PROBLEM_SCHEMA}}
    shown: dict[int | str, dict[str, Any]] = {
        status: {"description": texts[status], "content": content} for status in (400, 401, 429, *statuses)
    }
    # Also keeps the framework from adding a 422 that is never sent.
    shown["default"] = {"description": "Any other error", "content": content}
    return shown
