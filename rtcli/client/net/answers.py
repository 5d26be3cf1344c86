"""Requests to servers that nobody trusts: their answers are bounded, and redirects lead nowhere else.

What a server sends is read up to a limit, counted after decompression, and in a time for all of it: a server
that sends one byte a second would never be too slow for a limit on each byte. A redirect is followed within
the origin only, because tokens and headers are for the server that the user named.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from rtcli.protocol.content_coding import ContentCodingError, ContentDecoder

MAX_REDIRECTS = 5
_LOST_BODY = "in a way that a request with a body cannot follow"


@dataclass(frozen=True)
class Answer:
    """An answer. When `problem` says why its body could not be read, `content` is empty."""

    status: int
    headers: httpx.Headers
    content: bytes
    problem: str = ""


class RedirectError(Exception):
    """A redirect that is not followed. The text goes after `<server> redirects `; it names no path."""


async def ask(
    http: httpx.AsyncClient,
    request: httpx.Request,
    *,
    max_bytes: int,
    timeout_s: float,
    redirects: int = MAX_REDIRECTS,
) -> Answer:
    """Make a request, and read an answer of at most `max_bytes` within `timeout_s` altogether.

    With `redirects` 0 a redirect is an answer like any other. Raises httpx.HTTPError, also for a redirect to
    what is no address, and RedirectError.
    """
    try:
        async with asyncio.timeout(timeout_s):
            response = await open_answer(http, request, redirects=redirects)
            try:
                content, problem = await _read(response, max_bytes)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {timeout_s:g} s", request=request) from error
    return Answer(response.status_code, response.headers, content, problem)


async def open_answer(
    http: httpx.AsyncClient, request: httpx.Request, *, redirects: int = MAX_REDIRECTS
) -> httpx.Response:
    """Make a request, and return its answer with the body still to be read, and to be closed.

    Raises httpx.HTTPError and RedirectError.
    """
    for _ in range(redirects):
        response = await _send(http, request)
        if response.next_request is None:
            return response
        await response.aclose()
        request = _within_origin(request, response.next_request)
    response = await _send(http, request)
    if redirects and response.next_request is not None:
        await response.aclose()
        raise RedirectError(f"more than {redirects} times")
    return response


async def read_beginning(response: httpx.Response, *, max_bytes: int, timeout_s: float) -> bytes:
    """Read what comes of a body within `timeout_s`, at most `max_bytes`, up to where it cannot be read."""
    found = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            decoder = ContentDecoder(response.headers.get("content-encoding", ""))
            async for data in response.aiter_raw():
                for piece in decoder.feed(data):
                    found += piece
                    if len(found) >= max_bytes:
                        return bytes(found[:max_bytes])
    except (TimeoutError, httpx.HTTPError, ContentCodingError):
        pass
    return bytes(found)


async def _send(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        return await http.send(request, stream=True, follow_redirects=False)
    except (httpx.InvalidURL, UnicodeError) as error:  # httpx means to raise this for every bad location
        raise httpx.RemoteProtocolError("Invalid URL in location header.", request=request) from error


def _within_origin(request: httpx.Request, following: httpx.Request) -> httpx.Request:
    """Return the request that a redirect leads to. Raises RedirectError."""
    origin, target = _origin(request.url), _origin(following.url)
    is_upgrade = origin == ("http", target[1], 80) and target == ("https", origin[1], 443)
    if origin != target and not is_upgrade:
        scheme, host, port = target
        raise RedirectError(f"to another server, {scheme}://{host[:100]}:{port}")
    if following.method != request.method:
        raise RedirectError(_LOST_BODY)
    return following


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454, section 4); the port is 0 when the scheme is unknown."""
    return url.scheme, url.raw_host.decode("ascii"), url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


async def _read(response: httpx.Response, max_bytes: int) -> tuple[bytes, str]:
    """Read the body; return it, or "" and why it is not read further."""
    too_long = f"an answer of more than {max_bytes} bytes"
    pieces: list[bytes] = []
    received = size = 0
    try:
        decoder = ContentDecoder(response.headers.get("content-encoding", ""))
        async for data in response.aiter_raw():
            received += len(data)
            for piece in decoder.feed(data):
                size += len(piece)
                if size > max_bytes:
                    return b"", too_long
                pieces.append(piece)
            if received > max_bytes:  # of what follows the end of compressed data, too
                return b"", too_long
    except ContentCodingError as error:
        return b"", str(error)
    return b"".join(pieces), ""
