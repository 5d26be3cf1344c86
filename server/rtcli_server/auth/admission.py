"""Who may open a connection: origin, token and capacity are checked in that order (protocol.md, section 2).

All WebSockets, event streams and API requests go through one `Admission`, so that no endpoint can forget a
check.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs

from rtcli.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode
from rtcli.protocol.messages import Closing, ClosingData, encode
from rtcli_server.auth.authenticator import (
    NOT_READY_TEXT,
    Authenticator,
    InvalidTokenError,
    NotReadyError,
    UnknownKeyError,
)
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy, OriginVerdict
from rtcli_server.auth.token_location import HandshakeError, choose_subprotocol, find_token
from rtcli_server.headers import Headers, header_values

_log = logging.getLogger(__name__)


class UndecidedError(Exception):
    """Only `Admission.admit` can decide: somebody else has to be asked."""


class AdmissionRequest:
    """The parts of an HTTP request that decide about its admission.

    `query_string` has no leading `?`; `address` is the client's IP address, or "" when it is unknown.
    """

    def __init__(self, headers: Headers, query_string: str, address: str, *, websocket: bool) -> None:
        self.headers = headers
        self.query_string = query_string
        self.address = address
        self.websocket = websocket

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> Self:
        """Take the parts from an ASGI scope of type `http` or `websocket`."""
        client = scope.get("client")
        return cls(
            scope["headers"],
            scope["query_string"].decode("latin-1"),
            client[0] if client else "",
            websocket=scope["type"] == "websocket",
        )

    def get_header(self, name: str) -> list[str]:
        """Return all values of a header, decoded as ISO-8859-1 (as in HTTP/1.1)."""
        return [value.decode("latin-1") for value in header_values(self.headers, name.encode())]

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol to answer with, also when rejecting: browsers that offer some expect one back."""
        return choose_subprotocol(self.get_header("sec-websocket-protocol"))

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query parameters, in order of their first appearance."""
        return parse_qs(self.query_string, keep_blank_values=True)


class Rejection(NamedTuple):
    """Why a request is not admitted, and how to answer it.

    A WebSocket is accepted and closed with `close_code`; when that is None, its handshake is answered with
    `status`. `retry_after_ms` is set when the client should come back.
    """

    status: int
    code: ErrorCode
    text: str
    close_code: CloseCode | None = CloseCode.REFUSED
    retry_after_ms: int | None = None

    @property
    def reason(self) -> str:
        """The close reason. It starts with the error code, because a browser cannot read an HTTP status."""
        return f"{self.code}: {self.text}"

    def closing(self, timestamp: str) -> bytes | None:
        """Encode the message to send before the close; None when the client should not come back."""
        if self.close_code is None or self.retry_after_ms is None:
            return None
        data = ClosingData(code=self.close_code, reason=self.code, retry_after_ms=self.retry_after_ms)
        return encode(Closing(data=data, timestamp=timestamp))


def _rejection(status: int, code: ErrorCode) -> Rejection:
    return Rejection(status, code, ERROR_TEXT[code])


KICKED = Rejection(403, ErrorCode.FORBIDDEN, "Kicked: stay away", CloseCode.KICKED)


def _is_from_own_page(request: AdmissionRequest) -> bool:
    """Whether the browser says that a page of this server's origin sent the request.

    A browser sends no `Origin` for a GET to the page's own origin, an EventSource's included (Fetch, section
    3.1). It sends `Sec-Fetch-Site` instead, which no script can set (W3C Fetch Metadata, section 2.3).
    """
    return request.get_header("sec-fetch-site") == ["same-origin"]


class Admission:
    """Admits or rejects requests. Counts rejections by error code in `rejections`.

    `check_capacity(user_id, address)` returns why one more connection is too many, or None;
    `retry_after_ms()` a delay for a client that has to come back, another one each time.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        origins: OriginPolicy,
        check_capacity: Callable[[str, str], Rejection | None],
        rejections: Counter[str],
        *,
        retry_after_ms: Callable[[], int],
    ) -> None:
        self._authenticator = authenticator
        self._origins = origins
        self._check_capacity = check_capacity
        self._rejections = rejections
        self._retry_after_ms = retry_after_ms

    def admit_at_once(self, request: AdmissionRequest) -> Principal | Rejection:
        """Check with the keys at hand. Raises UnknownKeyError or UndecidedError when `admit` can."""
        token = self._find_token(request)
        if isinstance(token, Rejection):
            return self._reject_unverified(request, token)
        try:
            return self._check_limits(request, self._authenticator.authenticate(token))
        except InvalidTokenError as error:
            if isinstance(error, UnknownKeyError):
                raise
            return self._reject_invalid(request, error)

    async def admit(self, request: AdmissionRequest) -> Principal | Rejection:
        """Check, and fetch the JWKS once for a key that is not known yet."""
        token = self._find_token(request)
        if isinstance(token, Rejection):
            return self._reject_unverified(request, token)
        try:
            return self._check_limits(request, await self._authenticator.verify(token))
        except InvalidTokenError as error:
            return self._reject_invalid(request, error)

    def _find_token(self, request: AdmissionRequest) -> str | Rejection:
        verdict = self._origins.check(request.get_header("origin"))
        if verdict is OriginVerdict.REFUSED:
            return Rejection(403, ErrorCode.FORBIDDEN, "This origin is not allowed", close_code=None)
        try:
            token = find_token(
                request.get_header,
                request.query_string,
                websocket=request.websocket,
                origin_allowed=verdict is OriginVerdict.ALLOWED or _is_from_own_page(request),
            )
        except HandshakeError as error:
            return Rejection(400, ErrorCode.INVALID_TOKEN, str(error), close_code=None)
        return _rejection(401, ErrorCode.INVALID_TOKEN) if token is None else token

    def _check_limits(self, request: AdmissionRequest, principal: Principal) -> Principal | Rejection:
        if self._authenticator.keeps_away(principal.user_id):
            return self._reject(request, KICKED, KICKED.text)
        rejection = self._check_capacity(principal.user_id, request.address)
        return principal if rejection is None else self._reject(request, rejection, rejection.text)

    def _reject_unverified(self, request: AdmissionRequest, rejection: Rejection) -> Rejection:
        return self._reject(request, rejection, "no token" if rejection.status == 401 else rejection.text)

    def _reject_invalid(self, request: AdmissionRequest, error: InvalidTokenError) -> Rejection:
        rejection = _rejection(401, ErrorCode.INVALID_TOKEN)
        if isinstance(error, NotReadyError):
            retry_after_ms = int(error.retry_after_s * 1000) + self._retry_after_ms()
            rejection = Rejection(
                503, ErrorCode.UNAVAILABLE, NOT_READY_TEXT, CloseCode.TRY_AGAIN_LATER, retry_after_ms
            )
        return self._reject(request, rejection, error.reason)

    def _reject(self, request: AdmissionRequest, rejection: Rejection, cause: str) -> Rejection:
        """Count and log a rejection. Only the log gets the cause; clients get one text for all of them."""
        self._rejections[rejection.code] += 1
        _log.info("rejected: %s", cause, extra={"address": request.address, "code": str(rejection.code)})
        return rejection
