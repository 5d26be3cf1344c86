"""Who may open a connection: origin, token, admission, in that order, before anything else happens.

One gate for every WebSocket and event stream, so that no endpoint can forget a check (protocol.md, 2).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple
from urllib.parse import parse_qs

from rtcli.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode
from rtcli.protocol.messages import Closing, ClosingData, encode
from rtcli_server.auth.authenticator import Authenticator, InvalidTokenError, Principal, UnknownKeyError
from rtcli_server.auth.origins import OriginPolicy, OriginVerdict
from rtcli_server.auth.token_location import HandshakeError, choose_subprotocol, find_token
from rtcli_server.headers import Headers, values

_log = logging.getLogger(__name__)


class Request:
    """What the gate looks at. `query_string` stands without `?`; `address` is "" when unknown."""

    def __init__(self, headers: Headers, query_string: str, address: str, *, websocket: bool) -> None:
        self.headers = headers
        self.query_string = query_string
        self.address = address
        self.websocket = websocket

    def get_header(self, name: str) -> list[str]:
        """All values of a header (ISO-8859-1, as HTTP/1.1 has them)."""
        return [value.decode("latin-1") for value in values(self.headers, name.encode())]

    @property
    def subprotocol(self) -> str | None:
        """What to answer with, also when refusing: a browser that offered some wants one of them back."""
        return choose_subprotocol(self.get_header("sec-websocket-protocol"))

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters, in order of their first appearance."""
        return parse_qs(self.query_string, keep_blank_values=True)


class Denied(NamedTuple):
    """A connection that may not. `close_code` None: a WebSocket is refused with `status` before accepting."""

    status: int
    code: ErrorCode
    text: str
    close_code: CloseCode | None = CloseCode.REFUSED
    retry_after_ms: int | None = None

    @property
    def reason(self) -> str:
        """The close reason, which starts with the error code: a browser reads that, but no HTTP status."""
        return f"{self.code}: {self.text}"

    def closing(self, timestamp: str) -> bytes | None:
        """The message before a close that the client should come back from."""
        if self.close_code is None or self.retry_after_ms is None:
            return None
        data = ClosingData(code=self.close_code, reason=self.code, retry_after_ms=self.retry_after_ms)
        return encode(Closing(data=data, timestamp=timestamp))


def _denied(status: int, code: ErrorCode, **more: CloseCode | None) -> Denied:
    return Denied(status, code, ERROR_TEXT[code], **more)


def _is_from_own_page(request: Request) -> bool:
    """Whether a browser says that a page of this very origin asks.

    For a GET to its own origin, an EventSource's too, a browser sends no `Origin` (Fetch, section 3.1), but
    this, which no script can write (W3C Fetch Metadata, section 2.3).
    """
    return request.get_header("sec-fetch-site") == ["same-origin"]


class Gate:
    """Checks requests, and counts in `refusals`, by error code, those that it turns away.

    `admission(user_id, address)` says why a connection is one too many, or None.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        origins: OriginPolicy,
        admission: Callable[[str, str], Denied | None],
        refusals: Counter[str],
    ) -> None:
        self._authenticator = authenticator
        self._origins = origins
        self._admission = admission
        self._refusals = refusals

    def admit(self, request: Request) -> Principal | Denied:
        """Check with the keys at hand. Raises UnknownKeyError when `admit_later` may find the key."""
        token = self._find(request)
        if isinstance(token, Denied):
            return self._turn_away(request, token, "no token" if token.status == 401 else token.text)
        try:
            return self._admit(request, self._authenticator.authenticate(token))
        except InvalidTokenError as error:
            if isinstance(error, UnknownKeyError):
                raise
            return self._turn_away(request, _denied(401, ErrorCode.INVALID_TOKEN), error.reason)

    async def admit_later(self, request: Request) -> Principal | Denied:
        """The same, asking the JWKS for a key that is not known yet."""
        token = self._find(request)
        if isinstance(token, Denied):
            return self._turn_away(request, token, "no token" if token.status == 401 else token.text)
        try:
            return self._admit(request, await self._authenticator.verify(token))
        except InvalidTokenError as error:
            return self._turn_away(request, _denied(401, ErrorCode.INVALID_TOKEN), error.reason)

    def _find(self, request: Request) -> str | Denied:
        verdict = self._origins.check(request.get_header("origin"))
        if verdict is OriginVerdict.REFUSED:
            return Denied(403, ErrorCode.FORBIDDEN, "This origin is not allowed", close_code=None)
        try:
            token = find_token(
                request.get_header,
                request.query_string,
                websocket=request.websocket,
                origin_allowed=verdict is OriginVerdict.ALLOWED or _is_from_own_page(request),
            )
        except HandshakeError as error:
            return Denied(400, ErrorCode.INVALID_TOKEN, str(error), close_code=None)
        return _denied(401, ErrorCode.INVALID_TOKEN) if token is None else token

    def _admit(self, request: Request, principal: Principal) -> Principal | Denied:
        denied = self._admission(principal.user_id, request.address)
        return principal if denied is None else self._turn_away(request, denied, denied.text)

    def _turn_away(self, request: Request, denied: Denied, reason: str) -> Denied:
        """Count and log a refusal: the log may know the cause, the client hears one text for all of them."""
        self._refusals[denied.code] += 1
        _log.info("refused: %s", reason, extra={"address": request.address, "code": str(denied.code)})
        return denied
