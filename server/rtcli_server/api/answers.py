"""From exceptions to problem+json, for those of the framework too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rtcli.protocol.codes import ErrorCode
from rtcli_server.problems import FieldError, ProblemError

MAX_ERRORS = 20  # listed for one body
_LENGTHS = frozenset({"string_too_long", "string_too_short"})


def problem_response(problem: ProblemError) -> Response:
    """Make the response for a problem."""
    return Response(problem.body(), problem.status, problem.headers())


def as_problem(error: Exception) -> ProblemError:
    """Return the problem for an exception; an unknown one is 500, without details."""
    match error:
        case ProblemError():
            return error
        case RequestValidationError():
            return problem_of_validation(error.errors())
        case HTTPException():
            return ProblemError(error.status_code, headers=error.headers)
        case _:
            return ProblemError(500)


def problem_of_validation(errors: Sequence[Any]) -> ProblemError:
    """Turn a 422 of the framework into a 400: the request, or a part of it, does not follow the protocol."""
    code = ErrorCode.INVALID_MESSAGE
    fields: list[FieldError] = []
    for error in errors[:MAX_ERRORS]:
        place = [str(part) for part in error["loc"] if part != "body"]
        # Echo no input, and no text that contains some: only the place, and pydantic's fixed words.
        fields.append({"field": ".".join(place)[:200], "message": str(error["type"])})
        if place[-1:] == ["content"] and error["type"] in _LENGTHS:
            code = ErrorCode.TOO_LONG
    return ProblemError(400, code, errors=fields)


def install_problem_handlers(app: FastAPI) -> None:
    """Make an application answer all errors with problem+json: unknown paths, wrong methods, bugs.

    The server that runs the application also logs a bug.
    """

    async def handle(_request: Request, error: Exception) -> Response:
        return problem_response(as_problem(error))

    for kind in (ProblemError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
