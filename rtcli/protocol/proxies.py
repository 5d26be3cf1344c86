"""Which proxy a connection goes through: one table for all clients, over HTTP and WebSocket. Pure.

There is no standard; this is what Go's net/http and curl have in common, with HTTP_PROXY in capitals too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

OPTION = "--proxy"
NONE = "none"  # of the option: no proxy, whatever the environment says
_SECURE = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_PLAIN = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")
_PORTS = {"http": 80, "https": 443}
_USER = re.compile(r"[!-.0-9;-?A-Z\\^-~_%]*")  # printable ASCII without : / @ [ ]


class ProxyURLError(ValueError):
    """An option or a variable has what is no proxy that can be used. The text names it, and no password."""


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy, and where it is named."""

    url: str = field(repr=False)  # for libraries; it may have a password in it
    where: str  # host:port
    variable: str = ""  # of the environment that names it; empty: it was given

    def __str__(self) -> str:
        """`the proxy 10.0.0.1:3128 (HTTPS_PROXY)`."""
        return f"the proxy {self.where}" + (f" ({self.variable})" if self.variable else "")


def choose_proxy(
    scheme: str,
    host: str,
    port: int,
    env: Mapping[str, str],
    given: str | None = None,
    *,
    origin: str = OPTION,
) -> Proxy | None:
    """The proxy for connections to a server, None for none. Raises ProxyURLError.

    `scheme` is http, https, ws or wss. `given` is an option, whose name is `origin`: a URL, which counts for
    every server, or `none`. Without it the environment decides; then this machine is reached directly.
    """
    if given is not None:
        return None if given == NONE else Proxy(*_parse(given, origin))
    if is_loopback(host) or any(_excepts(entry, host, port) for entry in _exceptions(env)):
        return None
    names = _SECURE if scheme in {"https", "wss"} else _PLAIN
    name = next((name for name in names if env.get(name, "").strip()), None)
    return None if name is None else Proxy(*_parse(env[name].strip(), name), variable=name)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, judged by its spelling: no name is resolved."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _exceptions(env: Mapping[str, str]) -> Iterator[str]:
    text = next((env[name] for name in _EXCEPTIONS if env.get(name, "").strip()), "")
    yield from (entry.lower() for entry in re.split(r"[\s,]+", text) if entry)


def _excepts(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY is for this server. A name is for the names below it, too."""
    if entry == "*":
        return True
    name, at = _split(entry)
    if at is not None and at != port:
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        pass  # one of both is no address
    host, name = host.lower().rstrip("."), name.removeprefix("*")
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _split(entry: str) -> tuple[str, int | None]:
    """The host and the port of `host`, `host:port`, `[address]:port` or an address."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", entry, re.ASCII)
    if match is None:  # an address of IPv6 without brackets
        return entry, None
    return match[1].strip("[]"), None if match[2] is None else int(match[2])


def _parse(text: str, origin: str) -> tuple[str, str]:
    """The URL in its full form, and host:port."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unusable(origin, text, "it is no URL") from None
    if parts.scheme.startswith("socks"):
        raise _unusable(origin, text, "SOCKS proxies are not supported, only http:// and https://")
    if parts.scheme not in _PORTS:
        raise _unusable(origin, text, f"{parts.scheme}:// is no proxy's scheme, but http:// and https:// are")
    if port == 0 or not re.fullmatch(r"[0-9A-Za-z.:_-]+", host, re.ASCII):
        raise _unusable(origin, text, "it has no host, or one that is none")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise _unusable(origin, text, "a proxy's URL has no path")
    user, password = parts.username or "", parts.password or ""
    if not (_USER.fullmatch(user) and _USER.fullmatch(password)):
        raise _unusable(origin, text, "write special characters of user and password as %XX")
    where = f"{f'[{host}]' if ':' in host else host}:{port or _PORTS[parts.scheme]}"
    credentials = f"{user}:{password}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{credentials}{where}", where


def _unusable(origin: str, text: str, why: str) -> ProxyURLError:
    masked = re.sub(r"(^|//)[^/]*@", r"\1***@", text)
    shown = masked if masked.isprintable() and "@" not in masked.replace("***@", "", 1) else "***"
    return ProxyURLError(f"{origin} {shown!r}: {why}")
