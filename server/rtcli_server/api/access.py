"""The checks of every request to the HTTP API: token, rate and body, in this order.

They are part of the router's route class, so that no route can forget them. Bodies are read here, with a size
limit and the strict JSON of the protocol: what is published must be readable by the parsers of all clients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rtcli.protocol.messages.strict_json import NotAcceptedError, parse
from rtcli_server.api.answers import as_problem, problem_response
from rtcli_server.api.services import ApiServices
from rtcli_server.auth.admission import Admission, AdmissionRequest, Rejection
from rtcli_server.auth.claims import Principal
from rtcli_server.http_routes import HttpRoute
from rtcli_server.limits.user_rates import UserRates
from rtcli_server.problems import ProblemError

MAX_BODY_BYTES = 65_536
MAX_BATCH_BODY_BYTES = 1_048_576
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
_EXPECTED = (ProblemError, RequestValidationError, HTTPException)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Access:
    """Checks tokens and rates; `rates` None means no rate limit."""

    def __init__(self, services: ApiServices, rates: UserRates | None) -> None:
        # Requests hold no connection open, so the connection caps are not for them.
        self._admission = Admission(
            services.authenticator,
            services.origins,
            lambda _user, _address: None,
            services.metrics.refusals,
            retry_after_ms=services.retry_after_ms,
        )
        self._clock = services.clock
        self._rates = rates

    async def principal_of(self, request: Request) -> Principal:
        """Return whose token the request has. Raises ProblemError."""
        verdict = await self._admission.admit(AdmissionRequest.from_scope(request.scope))
        if isinstance(verdict, Rejection):
            raise ProblemError(
                verdict.status, verdict.code, verdict.text, retry_after_ms=verdict.retry_after_ms
            )
        return verdict

    def take(self, principal: Principal) -> None:
        """Count one request or publication. Raises ProblemError (429) when there are too many."""
        wait_s = 0.0 if self._rates is None else self._rates.take(principal.user_id, self._clock.now())
        if wait_s:
            raise ProblemError(429, retry_after_ms=math.ceil(wait_s * 1000))


class _CheckedRequest(Request):
    """A request whose body was read and checked already."""

    def __init__(self, request: Request, raw: bytes, value: object) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._value = value

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:  # noqa: ANN401 - as in Starlette
        return self._value


async def _read_body(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise ProblemError(413)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ProblemError(413)
    return bytes(body)


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, headers={"accept": "application/json"})


async def _checked(request: Request, limit: int) -> Request:
    if request.method in _BODILESS:
        return request
    raw = await _read_body(request, limit)
    if not raw:
        return _CheckedRequest(request, b"", None)
    _check_media_type(request)
    try:
        return _CheckedRequest(request, raw, parse(raw.decode("utf-8")))
    except (NotAcceptedError, UnicodeDecodeError):
        raise ProblemError(400) from None


def _check_path(request: Request) -> None:
    """Raise ProblemError (400) unless the path is UTF-8 (RFC 3987, section 3.1).

    The framework would replace the invalid bytes by U+FFFD.
    """
    try:
        unquote_to_bytes(request.scope.get("raw_path") or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise ProblemError(400) from None


def guarded_route(access: Access) -> type[APIRoute]:
    """Make the route class for a router all of whose routes are behind `access`."""

    class GuardedRoute(HttpRoute):
        """Authenticates, counts and reads a request; answers an error of the route with a problem."""

        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            limit = MAX_BATCH_BODY_BYTES if self.path.endswith("/batch") else MAX_BODY_BYTES

            async def guarded(request: Request) -> Response:
                try:
                    _check_path(request)
                    principal = await access.principal_of(request)
                    access.take(principal)
                    request.state.principal = principal
                    return await handle(await _checked(request, limit))
                except _EXPECTED as error:
                    error.__traceback__ = None  # the framework's frames keep the exception: that is a cycle
                    return problem_response(as_problem(error))
                except ClientDisconnect:  # within its body: nobody is there to read an answer
                    return problem_response(ProblemError(400))

            return guarded

    return GuardedRoute


def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


Caller = Annotated[Principal, Depends(_caller)]
