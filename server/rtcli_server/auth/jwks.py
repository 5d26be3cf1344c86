"""The keys behind a JWKS URL: fetched in a thread, kept when a refresh fails.

Rules, each of which an advisory asks for: only http and https, and no redirects, so that only the configured
host is asked; a failed or empty answer does not change the keys; tokens with an unknown key id, however many,
cause at most one fetch per cooldown; one fetch at a time. unknown_keys.py says what becomes of such tokens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from math import inf
from urllib.parse import urlsplit

import httpx

from rtcli.protocol.content_coding import ACCEPTED, ContentCodingError, ContentDecoder
from rtcli.protocol.proxies import Proxy, ProxyURLError, choose_proxy
from rtcli_server.auth.unknown_keys import UnknownKeys
from rtcli_server.auth.verification_keys import KeyConfigError, VerificationKey, parse_jwks

MAX_BODY_BYTES = 512 * 1024
FETCH_TIMEOUT_S = 5.0
REFRESH_S = 300.0
RETRY_S = 10.0
COOLDOWN_S = 30.0

_log = logging.getLogger(__name__)


class JwksError(Exception):
    """The keys could not be fetched. The text contains no secret."""


def check_jwks_url(url: str) -> str:
    """Return `url` when it is a valid URL for a JWKS. Raises KeyConfigError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise KeyConfigError("not a JWKS URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise KeyConfigError("a JWKS URL starts with http:// or https://")
    if parts.username is not None or parts.fragment:
        raise KeyConfigError("a JWKS URL has no user name, password or fragment")
    return url


def fetch_jwks(url: str, *, timeout_s: float = FETCH_TIMEOUT_S) -> bytes:
    """Fetch the document; block for at most `timeout_s` and the look-up of a name. Raises JwksError.

    It has an event loop of its own, because only there can a time for the whole answer be set: a server that
    sends a byte a second is never too slow for a limit on each read.
    """
    return asyncio.run(_fetch(url, timeout_s))


async def _fetch(url: str, timeout_s: float) -> bytes:
    proxy = _proxy_for(url)
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(
                timeout=2 * timeout_s,
                headers={"accept-encoding": ACCEPTED},
                # One that is given: without it, httpx would look for proxies itself.
                transport=httpx.AsyncHTTPTransport(proxy=None if proxy is None else proxy.url),
            ) as http,
            http.stream("GET", url, follow_redirects=False) as response,
        ):
            if response.status_code == 407:
                raise JwksError(f"{proxy or 'a proxy'} wants a user and a password (407)")
            if response.status_code != 200:
                raise JwksError(f"status {response.status_code}")
            return await _read(response)
    except httpx.ProxyError as error:
        raise JwksError(f"{proxy} answered {str(error)[:3]}") from None
    except TimeoutError:
        raise JwksError(f"not complete after {timeout_s:g} s") from None
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        UnicodeError,
    ) as error:  # the others are of a redirect to nowhere
        through = f" through {proxy}" if isinstance(error, httpx.ConnectError) and proxy is not None else ""
        raise JwksError(f"{type(error).__name__}{through}") from None
    except ContentCodingError as error:
        raise JwksError(str(error)) from None


def _proxy_for(url: str) -> Proxy | None:
    """The proxy that the environment names for this URL. Raises JwksError."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return choose_proxy(parts.scheme, parts.hostname or "", port, os.environ)
    except ProxyURLError as error:
        raise JwksError(str(error)) from None


async def _read(response: httpx.Response) -> bytes:
    """Read the body, which is counted as it is decompressed."""
    decoder = ContentDecoder(response.headers.get("content-encoding", ""))
    body = bytearray()
    async for data in response.aiter_raw():
        for piece in decoder.feed(data):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise JwksError(f"more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


class JwksKeys:
    """The current keys of one URL. `keys` is empty until the first fetch that succeeds."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], bytes] = fetch_jwks,
        clock: Callable[[], float] = time.monotonic,
        refresh_s: float = REFRESH_S,
        cooldown_s: float = COOLDOWN_S,
    ) -> None:
        self.keys: tuple[VerificationKey, ...] = ()
        self._url = check_jwks_url(url)
        self._fetch = fetch
        self._clock = clock
        self._refresh_s = refresh_s
        self._cooldown_s = cooldown_s
        self._tried_at: float | None = None
        self._fetched_at: float | None = None
        self._unknown = UnknownKeys(cooldown_s)
        self._flight: asyncio.Task[bool] | None = None

    def find(self, algorithm: str, kid: str | None) -> list[VerificationKey]:
        """Return the keys to try: the one named `kid`; without a `kid`, the only one of that algorithm."""
        same = [key for key in self.keys if key.algorithm == algorithm]
        if kid is None:
            return same if len(same) == 1 else []
        return [key for key in same if key.kid == kid]

    async def refresh(self) -> bool:
        """Fetch the keys now, or wait for the fetch that is under way. Returns whether it succeeded."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._load())
        # Cancelling one caller must not cancel the fetch for the others.
        return await asyncio.shield(self._flight)

    async def refresh_for_unknown_key(self) -> None:
        """Fetch the keys, unless they were fetched within the cooldown."""
        if self._flight is not None or self._clock() >= self._next_fetch_at:
            await self.refresh()

    @property
    def _next_fetch_at(self) -> float:
        """From when on an unknown key may cause another fetch."""
        if self._tried_at is None:
            return -inf
        return self._tried_at + (self._cooldown_s if self.keys else min(self._cooldown_s, RETRY_S))

    def wait_s(self, algorithm: str, kid: str | None) -> float | None:
        """How long a token has to wait whose key is not there; None: it is refused.

        A token that names no key is refused as soon as there are keys: none is the one that it means.
        """
        now, fetched_at = self._clock(), self._fetched_at
        if fetched_at is not None and (
            kid is None or self._unknown.refused((algorithm, kid), now=now, fetched_at=fetched_at)
        ):
            return None
        return max(0.0, self._next_fetch_at - now)

    async def run(self) -> None:
        """Keep the keys fresh until cancelled; a withdrawn key is forgotten after `refresh_s`."""
        while True:
            succeeded = await self.refresh()
            await asyncio.sleep(self._refresh_s if succeeded else min(self._refresh_s, RETRY_S))

    async def _load(self) -> bool:
        try:
            self._replace(await asyncio.to_thread(self._fetch_and_parse))
        except (JwksError, KeyConfigError) as error:
            _log.warning("fetching the JWKS failed: %s; %d keys kept", error, len(self.keys))
            return False
        except Exception:  # noqa: BLE001 - what a URL answers must not end the fetching, nor a handshake
            _log.exception("fetching the JWKS failed; %d keys kept", len(self.keys))
            return False
        finally:
            self._tried_at = self._clock()
            self._flight = None
        return True

    def _replace(self, keys: tuple[VerificationKey, ...]) -> None:
        before, now = (
            {(key.algorithm, key.kid) for key in some if key.kid is not None} for some in (self.keys, keys)
        )
        self._unknown.withdraw(before - now)
        self._unknown.found(now)
        self.keys = keys
        self._fetched_at = self._clock()

    def _fetch_and_parse(self) -> tuple[VerificationKey, ...]:
        return parse_jwks(self._fetch(self._url))
