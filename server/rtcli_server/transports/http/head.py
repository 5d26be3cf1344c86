"""The head of a request: request line and header fields (RFC 9112, sections 2 to 5). Pure.

httptools reads the fields of one complete head. The rules that it does not have are here: the version, the
form of the request target, `Host`, and how the body is framed. What two servers could understand differently
is refused: the next request of the connection begins where the body of this one ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httptools

from rtcli_server.problems import ProblemError

NOT_HTTP = "Not an HTTP/1.1 request"
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])")
_WITHOUT_VERSION = re.compile(rb"[A-Z]+ [\x21-\x7e]*")  # HTTP/0.9
# RFC 3986, section 3.2.2, without a user and without an empty host (RFC 9110, section 4.2.1).
_AUTHORITY = rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::[0-9]{0,5})?"
_HOST = re.compile(_AUTHORITY)
_ABSOLUTE_FORM = re.compile(rb"https?://(" + _AUTHORITY + rb")([/?].*)?", re.IGNORECASE)
_FRAMING: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)


@dataclass(slots=True)  # not frozen: that would take longer than all other work on it
class Head:
    """A request without its body. Names of `headers` are in lower case; `raw_path` has no query.

    The body is `chunked`, or has `content_length` bytes. `keep_alive`: the client wants the connection kept.
    `expects_continue`: it waits for `100 Continue` before it sends the body.
    """

    method: str
    raw_path: bytes
    query: bytes
    http_version: str  # "1.0" or "1.1"
    headers: list[tuple[bytes, bytes]]
    content_length: int
    chunked: bool
    keep_alive: bool
    expects_continue: bool
    asks_for_upgrade: bool

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        path = self.raw_path.decode("ascii")
        return unquote(path) if "%" in path else path

    @property
    def target(self) -> bytes:
        """Path and query as they came."""
        return self.raw_path + b"?" + self.query if self.query else self.raw_path

    @property
    def has_body(self) -> bool:
        """Whether anything follows the head."""
        return self.chunked or self.content_length > 0


class _Fields:
    """What httptools calls."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.values.append((name.lower(), value.strip(b" \t")))


def check_request_line(line: bytes) -> tuple[str, bytes, str]:
    """Return method, target and version ("1.0" or "1.1"). Raises ProblemError: 400, or 505 from HTTP/2 on.

    RFC 9110, section 2.5: a recipient of a higher minor version than it knows reads the message as if it had
    the highest one that it knows.
    """
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        detail = "HTTP/0.9 is not spoken here" if _WITHOUT_VERSION.fullmatch(line) else NOT_HTTP
        raise ProblemError(400, detail=detail)
    method, target, major, minor = found.groups()
    if major != b"1":
        if major == b"0":
            raise ProblemError(400, detail="HTTP/0.9 is not spoken here")
        raise ProblemError(505)
    return method.decode(), target, "1.0" if minor == b"0" else "1.1"


def parse_head(data: bytes, max_fields: int) -> Head:
    """Parse a complete head, with the empty line at its end. Raises ProblemError."""
    end = data.index(b"\r\n")
    method, target, version = check_request_line(data[:end])
    headers = _parse_fields(data, is_known_version=data[end - 3 : end] in {b"1.0", b"1.1"})
    if len(headers) > max_fields:
        raise ProblemError(431, detail="Too many request headers")
    framing: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _FRAMING:
            framing.setdefault(name, []).append(value)
    _check_host(framing.get(b"host", ()), version)
    raw_path, query, authority = _split_target(target, method)
    if authority is not None:  # RFC 9112, section 3.2.2: it takes the place of Host
        headers = [(b"host", authority), *((name, value) for name, value in headers if name != b"host")]
    chunked, length = _body(framing, version)
    return Head(
        method=method,
        raw_path=raw_path,
        query=query,
        http_version=version,
        headers=headers,
        content_length=length,
        chunked=chunked,
        keep_alive=version == "1.1" and b"close" not in _tokens(framing.get(b"connection", ())),
        expects_continue=version == "1.1"
        and [value.lower() for value in framing.get(b"expect", ())] == [b"100-continue"],
        # RFC 9110, section 7.8: a server "MUST ignore an Upgrade header field" of HTTP/1.0.
        asks_for_upgrade=version == "1.1" and b"upgrade" in framing,
    )


def _tokens(values: Sequence[bytes]) -> list[bytes]:
    return [token.strip(b" \t").lower() for value in values for token in value.split(b",")]


def _parse_fields(data: bytes, *, is_known_version: bool) -> list[tuple[bytes, bytes]]:
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    if not is_known_version:
        parser.set_dangerous_leniencies(lenient_version=True)  # any 1.x, which was checked before
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # it parses nothing after a head with Upgrade; and it gets nothing after the head
    except httptools.HttpParserInvalidMethodError:
        raise ProblemError(501, detail="This method is not known") from None
    except httptools.HttpParserError:
        raise ProblemError(400, detail=NOT_HTTP) from None
    return fields.values


def _check_host(values: Sequence[bytes], version: str) -> None:
    """RFC 9112, section 3.2: 400 without a Host (HTTP/1.1), with several, and with an invalid one."""
    if len(values) > 1 or (not values and version == "1.1"):
        raise ProblemError(400, detail="Exactly one Host header is required")
    if values and _HOST.fullmatch(values[0]) is None:
        raise ProblemError(400, detail="The Host header is not a host")


def _split_target(target: bytes, method: str) -> tuple[bytes, bytes, bytes | None]:
    """Return the raw path, the query, and the authority of the absolute form (RFC 9112, section 3.2)."""
    authority = None
    if not target.startswith(b"/") and not (target == b"*" and method == "OPTIONS"):
        found = _ABSOLUTE_FORM.fullmatch(target)
        if found is None:
            raise ProblemError(400, detail="The request target is not a path")
        authority, target = found[1], found[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    return path, query, authority


def _body(framing: dict[bytes, list[bytes]], version: str) -> tuple[bool, int]:
    """Return whether the body is chunked, and its length otherwise (RFC 9112, section 6.3)."""
    codings, lengths = framing.get(b"transfer-encoding", []), framing.get(b"content-length", [])
    if codings:
        # Section 6.1: HTTP/1.0 has no Transfer-Encoding, and together with a length it is an attack.
        if version == "1.0" or lengths:
            raise ProblemError(400, detail="This Transfer-Encoding is not allowed here")
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise ProblemError(501, detail="The only Transfer-Encoding that is understood is chunked")
        return True, 0
    if not lengths:
        return False, 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise ProblemError(400, detail="The Content-Length is not a length")
    return False, int(lengths[0])
