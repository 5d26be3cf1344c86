"""Proxies: which one is used for a server, and what is its fault and not the server's."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping

import httpx
from typing_extensions import override
from websockets import exceptions as wse

from rtcli.client.endpoint import Endpoint
from rtcli.client.failures import Failure, ProxyFailedError, chain
from rtcli.errors import CliError, Exit
from rtcli.protocol.proxies import OPTION, Proxy, ProxyURLError, choose_proxy

_WITHOUT = "to go without it: --proxy none"
_GATEWAY_STATUS = frozenset({502, 503, 504})


def proxy_for(
    endpoint: Endpoint, env: Mapping[str, str], given: str | None, *, origin: str = OPTION
) -> Proxy | None:
    """The proxy for a server, None for none. Raises CliError (2); `origin` is the name of what was given."""
    scheme = "https" if endpoint.secure else "http"
    try:
        return choose_proxy(scheme, endpoint.host, endpoint.port, env, given, origin=origin)
    except ProxyURLError as error:
        raise CliError(str(error), hint=f"a proxy is http://host:port; {_WITHOUT}") from None


class ProxiedTransport(httpx.AsyncHTTPTransport):
    """Requests that go through a proxy. Raises ProxyFailedError for what is its fault."""

    def __init__(self, proxy: Proxy, where: str, context: ssl.SSLContext | None) -> None:
        super().__init__(
            verify=True if context is None else context, trust_env=False, proxy=httpx.Proxy(proxy.url)
        )
        self._proxy, self._where = proxy, where

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            failure = of_proxy(error, self._where, self._proxy)
            if failure is None:
                raise
            raise ProxyFailedError(failure) from error
        if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            await response.aclose()
            raise ProxyFailedError(_of_status(407, self._where, self._proxy))
        return response


def of_proxy(error: BaseException, where: str, proxy: Proxy) -> Failure | None:
    """The failure of an attempt to connect that is the proxy's; None if the server was reached."""
    causes = list(chain(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return None
    for cause in causes:
        status = _status_in(cause)
        if status is not None:
            return _of_status(status, where, proxy)
        if isinstance(cause, wse.ProxyError):
            return _failure(f"{proxy} does not answer as an HTTP proxy does", "is it one?", retry=False)
    named = next((failure for cause in causes if (failure := _of_cause(cause, where, proxy))), None)
    if named is None and any(isinstance(cause, OSError) for cause in causes):
        return _failure(f"{proxy} cannot be reached, or closed the connection", f"is it up? {_WITHOUT}")
    return named


def _of_cause(cause: BaseException, where: str, proxy: Proxy) -> Failure | None:
    if isinstance(cause, ConnectionRefusedError):
        return _failure(f"{proxy} refused the connection", f"is it up? {_WITHOUT}")
    if isinstance(cause, socket.gaierror):
        return _failure(f"cannot find the host of {proxy}", f"is the name spelled right? {_WITHOUT}")
    if isinstance(cause, TimeoutError):
        return _failure(f"{proxy} opened no way to {where} in time", _WITHOUT)
    return None


def _status_in(error: BaseException) -> int | None:
    """The status with which a proxy answered CONNECT."""
    if isinstance(error, wse.InvalidProxyStatus):
        return error.response.status_code
    match = re.match(r"\d{3}\b", str(error)) if isinstance(error, httpx.ProxyError) else None
    return None if match is None else int(match[0])


def _of_status(status: int, where: str, proxy: Proxy) -> Failure:
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        text = f"{proxy} wants a user and a password (407)"
        return _failure(text, "they go into its URL: http://user:password@host:port", retry=False)
    if status in _GATEWAY_STATUS:
        return _failure(f"{proxy} cannot reach {where} ({status})", f"is the server up? {_WITHOUT}")
    return _failure(f"{proxy} does not let us through to {where} ({status})", _WITHOUT, retry=False)


def _failure(message: str, hint: str, *, retry: bool = True) -> Failure:
    return Failure("proxy", CliError(message, hint=hint, exit_code=Exit.CANNOT_CONNECT), retry=retry)
