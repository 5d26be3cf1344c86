"""HTTP clients as the options want them: TLS, extra headers, proxies, deadlines."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from rtcli._version import __version__
from rtcli.client.endpoint import Endpoint
from rtcli.client.tls import TlsOptions
from rtcli.errors import CliError

CONNECT_TIMEOUT_S = 10.0
USER_AGENT = f"rtcli/{__version__}"
# RFC 9110 section 5.1 (token) and 5.5 (field values: no control characters).
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")


def parse_headers(given: list[str] | None) -> list[tuple[str, str]]:
    """Read `-H 'K: V'` and `-H @FILE` (one field a line). Raises CliError (2) without showing values."""
    fields: list[tuple[str, str]] = []
    for text in given or []:
        lines = _lines_of(Path(text[1:])) if text.startswith("@") else [text]
        for line in lines:
            match = _FIELD.fullmatch(line)
            if match is None or not match[2].isascii():
                raise CliError(
                    "a header is not 'Name: value'", hint="-H 'X-Trace: 7', or -H @FILE with one a line"
                )
            fields.append((match[1], match[2]))
    return fields


def _lines_of(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CliError(f"-H @{path}: {why}", hint="a file with one 'Name: value' a line") from None


def make_http(
    endpoint: Endpoint,
    *,
    tls: TlsOptions,
    headers: list[tuple[str, str]],
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float | None = None,
) -> httpx.AsyncClient:
    """Make a client for one server. Proxies come from the environment; this machine is reached directly."""
    context = tls.context() if endpoint.secure else True
    return httpx.AsyncClient(
        verify=context,
        trust_env=not endpoint.is_loopback,
        follow_redirects=True,
        headers=[("User-Agent", USER_AGENT), *headers],
        timeout=httpx.Timeout(connect_timeout_s, read=read_timeout_s),
    )
