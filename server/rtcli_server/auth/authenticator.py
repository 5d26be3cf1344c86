"""From a token to a principal: signature, claims and rights (protocol.md, section 2).

The order of the checks is a defence: size and alphabet first (a token of 10 MB would block the event loop for
0.4 s), then the signature with the keys and algorithms of the configuration, then `aud` and `iss`, then the
claim rules of `claims`. The client gets the same text for every cause.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jwt

from rtcli.protocol.codes import ERROR_TEXT, ErrorCode
from rtcli.protocol.jose import parse_object, parse_part
from rtcli.protocol.messages.strict_json import NotAcceptedError
from rtcli.protocol.tokens import LEEWAY_S, MAX_TOKEN_BYTES
from rtcli_server.auth.claims import MAX_LIFETIME_S, ClaimError, Principal, principal_from_claims
from rtcli_server.auth.revocations import RevokedTokens
from rtcli_server.auth.verification_keys import (
    KeyConfigError,
    PreparedHMAC,
    VerificationKey,
    public_key,
    secret_key,
)

if TYPE_CHECKING:
    from rtcli_server.auth.jwks import JwksKeys

# RFC 7515, section 7.1: three base64url segments. Padding is not part of it, though PyJWT accepts it.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


NOT_READY_TEXT = "This token cannot be checked yet"


class InvalidTokenError(Exception):
    """The token is refused. The text is the same for every cause; `reason` is one word, for the log only."""

    def __init__(self, reason: str) -> None:
        super().__init__(ERROR_TEXT[ErrorCode.INVALID_TOKEN])
        self.reason = reason


class UnknownKeyError(InvalidTokenError):
    """The token is of a key that the JWKS did not contain when it was last fetched."""

    def __init__(self, algorithm: str, kid: str | None) -> None:
        super().__init__("key")
        self.algorithm = algorithm
        self.kid = kid


@lru_cache(maxsize=64)  # issuers have one header, or a few
def _check_header(segment: str) -> None:
    """Refuse a header that PyJWT's parser accepts and another one may read differently: `alg` twice, NaN.

    Raises NotAcceptedError.
    """
    parse_part(segment)


class NotReadyError(InvalidTokenError):
    """Nobody can say yet whether the token is valid; the client should come back after `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class _StrictJWT(jwt.PyJWT):
    """PyJWT with prepared secrets, and a decoder of claims that refuses names that occur twice, and NaN."""

    def __init__(self) -> None:
        super().__init__()
        self._jws.unregister_algorithm("HS256")
        self._jws.register_algorithm("HS256", PreparedHMAC())

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        try:
            return parse_object(decoded["payload"])
        except NotAcceptedError:
            raise jwt.DecodeError("payload") from None


class Authenticator:
    """Verifies tokens with the configured keys: shared secrets, public keys (PEM) and a JWKS URL.

    `authenticate` answers at once, with the keys at hand. `verify` also fetches the JWKS once for a key that
    is not known. `run` must run as long as the server where `fetches_keys` says so.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        public_keys: Sequence[str] = (),
        jwks_url: str | None = None,
        jwks: JwksKeys | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        leeway_s: float = LEEWAY_S,
        max_lifetime_s: float = MAX_LIFETIME_S,
        clock: Callable[[], float] = time.time,
        revoked: RevokedTokens | None = None,
    ) -> None:
        """Prepare every key; `revoked` None: no token can be revoked.

        Raises KeyConfigError for a key that must not be used, or without any key.
        """
        self._keys = [*map(secret_key, secrets), *map(public_key, public_keys)]
        self._jwks = jwks
        if jwks is None and jwks_url:
            from rtcli_server.auth.jwks import JwksKeys  # noqa: PLC0415 - httpx is slow to import

            self._jwks = JwksKeys(jwks_url)
        if not self._keys and self._jwks is None:
            raise KeyConfigError("no key to verify tokens with")
        self._jwt = _StrictJWT()
        self._audience = audience
        self._issuer = issuer
        self._leeway_s = leeway_s
        self._max_lifetime_s = max_lifetime_s
        self._clock = clock
        self._revoked = revoked
        self._options: Any = {
            "require": ["exp", "sub"],
            "enforce_minimum_key_length": True,
            "verify_aud": audience is not None,
            # The rules in `claims` are stricter, and take the time as an argument.
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_sub": False,
            "verify_jti": False,
        }

    @property
    def ready(self) -> bool:
        """Whether tokens can be checked.

        False while the only source of keys is a JWKS never fetched yet, or the revocations were not read.
        """
        has_key = bool(self._keys) or (self._jwks is not None and bool(self._jwks.keys))
        return has_key and (self._revoked is None or self._revoked.known)

    def keeps_away(self, user_id: str) -> bool:
        """Whether this user was kicked and has to stay away, whatever the token."""
        return self._revoked is not None and self._revoked.is_away(user_id)

    def is_revoked(self, principal: Principal) -> bool:
        """Whether the token of this principal was revoked since it was verified."""
        return self._revoked is not None and self._revoked.covers(principal)

    @property
    def fetches_keys(self) -> bool:
        """Whether keys come from a JWKS URL, so that `run` has something to do."""
        return self._jwks is not None

    async def run(self) -> None:
        """Keep the JWKS fresh until cancelled; return at once when none is configured."""
        if self._jwks is not None:
            await self._jwks.run()

    async def verify(self, token: str) -> Principal:
        """Verify the token; fetch the JWKS once for a key that is not known.

        Raises InvalidTokenError; of these, NotReadyError while the key may still come.
        """
        try:
            return self.authenticate(token)
        except UnknownKeyError:
            assert self._jwks is not None  # noqa: S101 - only a JWKS has unknown keys
            await self._jwks.refresh_for_unknown_key()
        try:
            return self.authenticate(token)
        except UnknownKeyError as error:
            wait_s = self._jwks.wait_s(error.algorithm, error.kid)
            if wait_s is None:
                raise
            raise NotReadyError("key", wait_s) from None

    def authenticate(self, token: str) -> Principal:
        """Verify the token with the keys at hand. Raises InvalidTokenError or one of its subclasses."""
        if len(token) > MAX_TOKEN_BYTES or _COMPACT.fullmatch(token) is None:
            raise InvalidTokenError("malformed")
        try:
            _check_header(token.partition(".")[0])
        except NotAcceptedError:
            raise InvalidTokenError("malformed") from None
        decoded = self._decode(token)
        try:
            principal = principal_from_claims(
                decoded["payload"],
                decoded["header"],
                now=self._clock(),
                leeway_s=self._leeway_s,
                max_lifetime_s=self._max_lifetime_s,
            )
        except ClaimError as error:
            raise InvalidTokenError(str(error)) from None
        if self._revoked is not None:
            self._check_revoked(self._revoked, principal)
        return principal

    @staticmethod
    def _check_revoked(revoked: RevokedTokens, principal: Principal) -> None:
        if not revoked.known:
            raise NotReadyError("revocations not read")
        if revoked.covers(principal):
            raise InvalidTokenError("revoked")

    def _decode(self, token: str) -> dict[str, Any]:
        decoded, reason = self._try(token, self._keys)
        if decoded is None and self._jwks is not None and reason in ("algorithm", "signature"):
            decoded, reason = self._try(token, self._jwks_candidates(token, self._jwks))
        if decoded is None:
            raise InvalidTokenError(reason)
        return decoded

    def _jwks_candidates(self, token: str, jwks: JwksKeys) -> list[VerificationKey]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise InvalidTokenError("malformed") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ("RS256", "ES256", "EdDSA"):
            raise InvalidTokenError("algorithm")
        found = jwks.find(algorithm, kid)
        if not found:
            raise UnknownKeyError(algorithm, kid)
        return found

    def _try(self, token: str, keys: Iterable[VerificationKey]) -> tuple[dict[str, Any] | None, str]:
        """Decode with the first key that fits, else return why not.

        The reason is `algorithm` when no key is for the algorithm of the token.
        """
        reason = "algorithm"
        for key in keys:
            try:
                return self._decode_with(token, key), ""
            except jwt.InvalidAlgorithmError:
                continue  # a key for another algorithm
            except jwt.InvalidSignatureError:
                reason = "signature"  # during a rotation the next secret may fit
            except jwt.PyJWTError as error:
                return None, type(error).__name__
        return None, reason

    def _decode_with(self, token: str, key: VerificationKey) -> dict[str, Any]:
        return self._jwt.decode_complete(
            token,
            key.key,
            algorithms=[key.algorithm],
            options=self._options,
            audience=self._audience,
            issuer=self._issuer,
        )
