"""Removes tokens, secrets and passwords from log lines, our own and those of whatever runs us.

uvicorn logs the request line of a WebSocket, with `?token=…` in it, to the logger `uvicorn.error`; libraries
put URLs and headers into exceptions. `rtcli serve` redacts each finished line (process/logs.py). In somebody
else's application the lines are formatted by handlers that we do not know: a filter redacts the record.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from typing_extensions import override

REDACTED = "[redacted]"
# Of the ASGI servers. A filter on a logger does not see what is logged to loggers below it, so each is named.
SERVER_LOGGERS = (
    *("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"),
    *("hypercorn.error", "hypercorn.access"),
    *("gunicorn.error", "gunicorn.access"),
    *("daphne", "daphne.server", "daphne.access"),
    *("granian", "granian.access"),
)

# Where a token may be (auth/token_location.py), as it looks in request lines, URLs, headers and their reprs.
_NAMED = re.compile(
    r"""((?:\b|%22)(?:token|rt_token|access_token|refresh_token|id_token|ticket|secret|password)
         (?:(?:=|%3d)["']?|["']?\s*:\s*["']))  [^\s&;,"'<>\\]+""",
    re.VERBOSE | re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer(?:\.|%20|\s+))[^\s,;\"'<>\\]+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"(\bauthorization['\"]?\s*[:,=]\s*b?['\"]?\w+\s+)[^\s,;\"'<>\\]+", re.IGNORECASE)
# Anywhere: base64url of `{"`, and two dots.
_JWT = re.compile(r"\bey[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_USERINFO = re.compile(r"(\w://[^\s/@:]*):[^\s/@]+@")  # redis://user:password@host

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_formatter = logging.Formatter()


def redact(text: str) -> str:
    """Replace tokens, secrets and passwords in a text."""
    text = _JWT.sub(REDACTED, text)
    text = _NAMED.sub(rf"\1{REDACTED}", text)
    text = _BEARER.sub(rf"\1{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\1{REDACTED}", text)
    return _USERINFO.sub(rf"\1:{REDACTED}@", text)


class RedactionFilter(logging.Filter):
    """Redacts every record that passes, and drops none. For a logger or a handler.

    Formatters see the record as it was, but for the secrets: its arguments keep their number and place (that
    of uvicorn's access log takes them apart), and each is redacted by itself. Where that does not suffice,
    the message is formatted here.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message, its arguments, the fields given as `extra`, and the traceback."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_redacted, record.args))
        _redact_message(record)
        for name, value in vars(record).items():
            if name not in _STANDARD and isinstance(value, str):
                vars(record)[name] = redact(value)
        _redact_traceback(record)
        return True


def _redacted(value: object) -> object:
    return redact(value) if isinstance(value, str) else value


def _redact_message(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are the business of whoever formats the record
        return
    clean = redact(message)
    if clean != message:
        record.msg, record.args = clean, None


def _redact_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and not record.exc_text:
        text = _formatter.formatException(record.exc_info)
        clean = redact(text)
        if clean != text:
            record.exc_text = clean  # formatters take it instead of the exception
    elif record.exc_text:
        record.exc_text = redact(record.exc_text)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


_filter = RedactionFilter()


def install_redaction() -> None:
    """Redact what the ASGI servers log, and what reaches a handler that there is now. Again is no change."""
    for name in SERVER_LOGGERS:
        logging.getLogger(name).addFilter(_filter)
    for handler in _handlers():
        handler.addFilter(_filter)


def _handlers() -> Iterator[logging.Handler]:
    for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
    if logging.lastResort is not None:  # where warnings go when an application configures no logs at all
        yield logging.lastResort
