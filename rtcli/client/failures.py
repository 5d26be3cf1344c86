"""Failed connections: whether trying again can help, and the error for the person if not."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from rtcli.errors import CliError, Exit
from rtcli.protocol.codes import CloseCode, should_reconnect

# The peer went away; TLS itself did not fail.
_TLS_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOKEN_HINT = "give a valid one: rtcli token create --sub you --out t; then --token-file t"  # noqa: S105 - a hint
FOREIGN_CREDENTIALS = "credentials go into -H 'Authorization: …', -H 'Cookie: …', --token-file"
_CODE = re.compile("[a-z][a-z_]{0,63}")
_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
_PLAIN_HINT = "is it the right port? one for TLS is reached with https:// or wss://"
_NO_API_HINT = "is that rtcli's port? its HTTP API is below /api/v1 there, and a path of --url does not count"
_WRONG_SERVER_HINT = "is that rtcli's port? give the full path with --url ws://host:port/path"
_HINT_OF = {  # --url may have the path of these
    "no WebSocket": _WRONG_SERVER_HINT,
    "no event stream": _WRONG_SERVER_HINT.replace("ws://", "http://"),
}


@dataclass(frozen=True)
class Failure:
    """One failed attempt or lost connection."""

    reason: str  # one or two words, for `-- lost (1006), retrying`
    error: CliError  # what to raise when it is final
    retry: bool  # whether trying again can help
    retry_after_s: float | None = None  # the delay that the server asked for


class ConnectionLostError(Exception):
    """A connection, or an attempt at one, failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class ProxyFailedError(httpx.ProxyError):
    """A proxy failed, and not the server behind it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes, and the errors inside of exception groups."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            todo.extend(current.exceptions)
        todo += [current.__cause__, current.__context__]


def of_network(error: BaseException, where: str, *, plain: bool = False) -> Failure:
    """The failure behind an OSError or a timeout, also if a library wrapped it. `where` is host:port.

    `plain`: it was tried without TLS. Of a request over HTTP this is seen by itself.
    """
    plain = plain or _is_plain(error)
    if isinstance(error, ProxyFailedError):
        return error.failure
    if isinstance(error, httpx.LocalProtocolError):
        return _unsendable(where)
    for cause in chain(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _TLS_ENDED):
            return _of_tls(cause, where)
    for cause in chain(error):
        failure = _of_os_error(cause, where, plain=plain)
        if failure is not None:
            return failure
    if isinstance(error, httpx.RemoteProtocolError):
        message = f"{where} broke off the connection, or does not speak HTTP"
        return _cannot_connect("lost", message, _PLAIN_HINT if plain else "is it the right port?")
    words = next(
        (cause.strerror for cause in chain(error) if isinstance(cause, OSError) and cause.strerror), ""
    )
    return _cannot_connect("lost", f"the connection to {where} failed" + (f": {words}" if words else ""))


def _is_plain(error: BaseException) -> bool:
    try:
        return isinstance(error, httpx.RequestError) and error.request.url.scheme == "http"
    except RuntimeError:  # it knows of no request
        return False


def _unsendable(where: str) -> Failure:
    """The failure of a request that HTTP has no form for: it is the same the next time."""
    error = CliError(
        f"the request to {where} cannot be sent: a header field has a value that HTTP does not allow",
        hint="look at -H, the token, and the id to resume from",
    )
    return Failure("unsendable", error, retry=False)


def _of_os_error(cause: BaseException, where: str, *, plain: bool) -> Failure | None:
    if isinstance(cause, ConnectionRefusedError):
        return _cannot_connect(
            "refused",
            f"{where} refused the connection",
            "is the server up? start one with: rtcli serve   (or wait for it: --wait 30s)",
        )
    if isinstance(cause, socket.gaierror):
        host = where.rpartition(":")[0]
        return _cannot_connect("no such host", f"cannot find the host {host}", "is the name spelled right?")
    if isinstance(cause, TimeoutError):
        return _cannot_connect("timeout", f"{where} did not answer in time", "is it the right host and port?")
    if isinstance(cause, OSError) and cause.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return _cannot_connect("unreachable", f"there is no way to {where}", "is the network up?")
    if isinstance(cause, (ConnectionError, EOFError, *_TLS_ENDED)):
        hint = _PLAIN_HINT if plain else _WRONG_SERVER_HINT
        return _cannot_connect("reset", f"{where} closed the connection before it stood", hint)
    return None


def _cannot_connect(reason: str, message: str, hint: str = "") -> Failure:
    return Failure(reason, CliError(message, hint=hint, exit_code=Exit.CANNOT_CONNECT), retry=True)


def _of_tls(error: ssl.SSLError, where: str) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"the certificate of {where} is not trusted: {error.verify_message}"
        hint = "trust its issuer with --cacert FILE (or, knowing the risk, -k)"
    else:
        reason = str(getattr(error, "reason", None) or error.args[-1])
        message = f"no TLS with {where}: {reason.replace('_', ' ').lower()}"
        if reason in _NO_TLS:
            message = f"{where} does not speak TLS"
        hint = "does that port speak plain http:// or ws://?"
    return Failure("TLS", CliError(message, hint=hint, exit_code=Exit.CANNOT_CONNECT), retry=False)


def of_status(status: int, where: str, *, what: str, retry_after: str | None = None) -> Failure:
    """The failure behind an unwanted HTTP status. `what` says what is missing: `no WebSocket`."""
    if status == 401:
        message = f"{where} wants a valid token (401)"
        error = CliError(message, hint=_TOKEN_HINT, exit_code=Exit.AUTH, code="invalid_token")
    elif status == 403:
        error = CliError(
            f"{where} does not allow this (403)",
            hint="see what your token may do: rtcli token inspect",
            exit_code=Exit.AUTH,
            code="forbidden",
        )
    elif status in _TRANSIENT_STATUS:
        error = CliError(
            f"{where} cannot serve this now ({status})",
            hint="try again, or wait for it: --wait 30s",
            exit_code=Exit.CANNOT_CONNECT,
        )
    else:
        error = CliError(
            f"{where} answered {status}, {what} there",
            hint=_HINT_OF.get(what, _NO_API_HINT),
            exit_code=Exit.SERVER,
        )
    return Failure(
        f"HTTP {status}",
        error,
        retry=status in _TRANSIENT_STATUS,
        retry_after_s=parse_retry_after(retry_after),
    )


def of_foreign_status(
    status: int, where: str, *, what: str, said: str = "", retry_after: str | None = None
) -> Failure:
    """The failure behind an unwanted HTTP status of a server that is not one of rtcli.

    `said` is its own explanation, if it gave one.
    """
    exit_code = Exit.SERVER
    if status == 401:
        message, hint, exit_code = f"{where} wants credentials (401)", FOREIGN_CREDENTIALS, Exit.AUTH
    elif status == 403:
        message, exit_code = f"{where} does not allow this (403)", Exit.AUTH
        hint = "does it check credentials, or where a request comes from (Origin)?"
    elif status in _TRANSIENT_STATUS:
        message, exit_code = f"{where} cannot serve this now ({status})", Exit.CANNOT_CONNECT
        hint = "try again, or wait for it: --wait 30s"
    else:
        message, hint = f"{where} answered {status}, {what} there", "is the address right, and the request?"
    message += f": {said}" if said else ""
    error = CliError(message, hint=hint, exit_code=exit_code, facts={"status": status})
    retry = status in _TRANSIENT_STATUS
    return Failure(f"HTTP {status}", error, retry=retry, retry_after_s=parse_retry_after(retry_after))


def of_redirect(error: Exception, where: str) -> Failure:
    """The failure behind a redirect that is not followed; `error` says where it leads."""
    refused = CliError(
        f"{where} redirects {error}",
        hint="a token is sent to no other server; give the address that answers itself",
        exit_code=Exit.SERVER,
    )
    return Failure("redirect", refused, retry=False)


def of_content(problem: str, where: str) -> Failure:
    """The failure behind an answer that is not read: it is too long, or not coded as it says."""
    return Failure("unreadable", CliError(f"{where} sent {problem}", exit_code=Exit.SERVER), retry=False)


def of_stranger(where: str) -> Failure:
    """The failure behind an answer over HTTP that no server of rtcli gives."""
    error = CliError(
        f"{where} does not answer as a server of rtcli does",
        hint="is that rtcli's port?",
        exit_code=Exit.SERVER,
    )
    return Failure("stranger", error, retry=False)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header (RFC 9110 section 10.2.3); a date or nonsense counts as none."""
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= 9):
        return None
    return float(value)


def of_close(code: int, reason: str, where: str, *, retry_after_s: float | None = None) -> Failure:
    """The failure behind a WebSocket that ended with `code` and `reason` (the server's text, untrusted)."""
    said = f"{code} {reason}".strip()
    if code == CloseCode.REFUSED:
        error = _refused(reason, where)
    elif code == CloseCode.KICKED:
        message = f"{where} ended this connection and does not want it back ({said})"
        error = CliError(message, exit_code=Exit.AUTH, code=_code_in(reason) or "kicked")
    elif code == CloseCode.TOKEN_EXPIRED:
        message = f"the token expired ({said})"
        error = CliError(message, hint=_TOKEN_HINT, exit_code=Exit.AUTH, code="token_expired")
    elif should_reconnect(code) or code == CloseCode.NORMAL:
        error = CliError(
            f"{where} closed the connection ({said})",
            hint="try again, or wait for it: --wait 30s",
            exit_code=Exit.CANNOT_CONNECT,
        )
    else:
        error = CliError(
            f"{where} broke off the conversation ({said})",
            hint="do client and server have the same version?",
            exit_code=Exit.SERVER,
        )
    return Failure(said, error, retry=should_reconnect(code), retry_after_s=retry_after_s)


def _refused(reason: str, where: str) -> CliError:
    # Section 2 of the protocol: the reason starts with an error code.
    if reason.startswith("forbidden"):
        return CliError(
            f"{where} does not allow this ({reason})",
            hint="see what your token may do: rtcli token inspect",
            exit_code=Exit.AUTH,
            code="forbidden",
        )
    message = f"{where} refused the token ({reason or '1008'})"
    code = _code_in(reason) or "invalid_token"
    return CliError(message, hint=_TOKEN_HINT, exit_code=Exit.AUTH, code=code)


def _code_in(reason: str) -> str:
    """The error code that a reason begins with, empty for none."""
    code = reason.partition(":")[0]
    return code if _CODE.fullmatch(code) else ""
