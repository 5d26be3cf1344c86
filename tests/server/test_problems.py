from __future__ import annotations

import json
from typing import Any

import pytest

from rtcli.protocol.codes import ErrorCode
from rtcli_server.problems import ProblemError


def body(problem: ProblemError) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(problem.body())
    return parsed


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        (400, "invalid_message", "Invalid message format"),
        (401, "invalid_token", "Invalid or expired token"),
        (403, "forbidden", "Not allowed"),
        (404, "not_found", "There is nothing here"),
        (405, "method_not_allowed", "This method is not allowed here"),
        (409, "invalid_message", "Invalid message format"),
        (413, "too_long", "The body is too long"),
        (415, "unsupported_media_type", "The body must be application/json"),
        (429, "rate_limited", "Too many messages"),
        (500, "internal", "Internal error"),
        (503, "unavailable", "The log cannot take this now; nothing was published, try again"),
    ],
)
def test_a_status_alone_has_a_code_and_a_text(status: int, code: str, detail: str) -> None:
    found = body(ProblemError(status))
    assert (found["status"], found["code"], found["detail"]) == (status, code, detail)
    assert found["title"]


def test_an_error_code_has_its_text() -> None:
    assert body(ProblemError(400, ErrorCode.INVALID_ROOM))["detail"] == "Not a valid room name"
    assert body(ProblemError(409, "conflict"))["detail"] == "Conflict"
    assert body(ProblemError(400, ErrorCode.INVALID_ROOM, "Too strange"))["detail"] == "Too strange"


def test_optional_parts() -> None:
    problem = ProblemError(
        429, retry_after_ms=1_001, headers={"x": "y"}, errors=[{"field": "data.room", "message": "missing"}]
    )
    found = body(problem)
    assert found["retry_after_ms"] == 1_001
    assert found["errors"] == [{"field": "data.room", "message": "missing"}]
    assert problem.headers() == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "retry-after": "2",
        "x": "y",
    }


def test_401_says_how_to_authenticate() -> None:
    assert ProblemError(401).headers()["www-authenticate"] == 'Bearer error="invalid_token"'
