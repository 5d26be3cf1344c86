"""The log of requests: one line each, as long as a connection does not send too many.

A client decides how many requests it sends, so what is written for one connection has a limit. What was left
out is counted in the next line, or in a last one.
"""

from __future__ import annotations

import logging

from rtcli_server.limits.token_bucket import TokenBucket
from rtcli_server.transports.http.head import Head

LINES_PER_S = 1.0
BURST = 10

_log = logging.getLogger(__name__)


class AccessLog:
    """Logs the requests of one connection. `client` is its address and port; times are monotonic seconds."""

    __slots__ = ("_bucket", "_client", "_left_out")

    def __init__(self, client: str, now: float) -> None:
        self._client = client
        self._bucket = TokenBucket(LINES_PER_S, BURST, now)
        self._left_out = 0

    def request(self, head: Head, status: int, now: float) -> None:
        """Log a request and the status of its answer."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if self._bucket.take(now):
            self._left_out += 1
            return
        more = {"not_logged": self._left_out} if self._left_out else None
        self._left_out = 0
        line = f"{head.method} {head.target.decode()} HTTP/{head.http_version}"
        _log.info('%s - "%s" %d', self._client, line, status, extra=more)

    def ended(self) -> None:
        """Say how many requests were left out since the last line."""
        if self._left_out:
            _log.info(
                "%s - the last requests are not here", self._client, extra={"not_logged": self._left_out}
            )
