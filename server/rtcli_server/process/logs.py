"""Logs: one handler for every logger, uvicorn's included, as text or JSON, with secrets redacted.

Redaction (redaction.py) does not depend on the code that logs: it is applied to every finished line.

Connection ids and other fields come as `extra`: `_log.info("joined", extra={"connection_id": …})`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import msgspec
from typing_extensions import override

from rtcli.protocol.messages.values import format_timestamp
from rtcli_server.redaction import redact

INDENT = "    "  # before each line of a traceback
MAX_MESSAGE = 8_192  # characters of one line's message
REPEATS = 10  # of one warning or error, per window
WINDOW_S = 60.0
LIMITED = frozenset({"rtcli_server.auth.admission"})  # loggers whose lower levels are limited too
MAX_KINDS = 256  # of repeated messages that are counted at a time

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What a parser of text logs reads as it stands; anything else is a JSON string.
_BARE = re.compile(r'[^\s"=\\]+')
_FIELD = re.compile(r"(?:^|\s)\w+=")  # it would be taken for the first field, were its message not quoted

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Formatter(logging.Formatter):
    """The part that both formats share: nothing secret, no control characters, and no exceptions."""

    def message_of(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a log call with wrong arguments must not fail
            message = f"{record.msg!r} with arguments that do not fit"
        if len(message) > MAX_MESSAGE:
            message = message[:MAX_MESSAGE] + "…"
        return redact(message)

    def exception_of(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return _CONTROL.sub(_escape, redact("\n".join(parts)))

    @staticmethod
    def fields_of(record: logging.LogRecord) -> dict[str, object]:
        """The fields that were given as `extra`."""
        return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(_Formatter):
    """`2026-05-01T09:30:00.250Z WARNING rtcli_server.connections.hub: text connection_id=…`, for a person.

    No text from outside can be taken for fields or lines of ours. A value with white space, `=`, a quote, a
    backslash or a control character in it is a JSON string; so is a message that looks as if it had fields.
    The lines of a traceback are indented.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format one record on one line; a traceback follows on lines of its own."""
        message = self.message_of(record)
        if message.startswith('"') or _FIELD.search(message) or _has_controls(message):
            message = _quote(message)
        start = f"{format_timestamp(record.created)} {record.levelname} {_plain(record.name)}"
        fields = "".join(f" {name}={_value(name, value)}" for name, value in self.fields_of(record).items())
        return f"\n{INDENT}".join([f"{start}: {message}{fields}", *self.exception_of(record).splitlines()])


def _value(name: str, value: object) -> str:
    """A field's value, redacted by its name and its content."""
    return _plain(redact(f"{name}={value}").removeprefix(f"{name}="))


def _plain(text: str) -> str:
    """As it stands, or quoted if a parser could misread it."""
    return text if _BARE.fullmatch(text) and not _has_controls(text) else _quote(text)


def _has_controls(text: str) -> bool:
    return _CONTROL.search(text) is not None or "\n" in text or "\t" in text


def _quote(text: str) -> str:
    """As a JSON string, in which what could control a terminal is escaped, too."""
    return _CONTROL.sub(_escape_in_json, json.dumps(text, ensure_ascii=False))


def _escape_in_json(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class JsonFormatter(_Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `message`, the fields, and `exception`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format one record on one line."""
        line: dict[str, object] = {
            "ts": format_timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message_of(record),
        }
        for name, value in self.fields_of(record).items():
            line[name] = value if isinstance(value, int | float | None) else redact(str(value))
        exception = self.exception_of(record)
        if exception:
            line["exception"] = exception
        clean = {name: _writable(value) for name, value in line.items()}
        # Control characters that JSON does not escape can only be inside strings.
        return _CONTROL.sub(_escape_in_json, msgspec.json.encode(clean).decode())


def _writable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


class WorkerFilter(logging.Filter):
    """Adds the number and process id of the worker to every record."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        record.worker, record.pid = self._number, record.process
        return True


class RepeatFilter(logging.Filter):
    """Passes a warning or error ten times a minute; the next one after that says how many were dropped.

    Records are the same when logger, level and unformatted text are: out of file descriptors, a loop may log
    the same error two million times. Rejected requests are limited too: anybody can cause them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and record.name not in LIMITED:
            return True
        key = (record.name, record.levelno, str(record.msg))
        now = self._clock()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= WINDOW_S:
            if count > REPEATS:
                record.not_logged = count - REPEATS
            since, count = now, 0
        elif count == 0:
            self._make_room(now)
        self._seen[key] = (since, count + 1)
        return count < REPEATS

    def _make_room(self, now: float) -> None:
        if len(self._seen) >= MAX_KINDS:
            fresh = {key: seen for key, seen in self._seen.items() if now - seen[0] < WINDOW_S}
            self._seen = fresh if len(fresh) < MAX_KINDS else {}


class _Handler(logging.StreamHandler[TextIO]):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: the default prints the record, unredacted, to a stderr that is broken anyway."""


def configure_logging(
    log_format: Literal["text", "json"],
    *,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
    worker: int | None = None,
) -> logging.Handler:
    """Send every logger of this process through one handler to `stream` (stderr). Call this once, at start.

    With `worker`, every line has its number and process id. Pass `log_config=None` to uvicorn, so that it
    does not configure logging. Returns the handler, for tests.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(RepeatFilter(clock))
    if worker is not None:
        handler.addFilter(WorkerFilter(worker))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # httpx logs the URL of every request at INFO, which is not needed here.
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    return handler
