from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import LOGGING_CONFIG

from rtcli_server.process.logs import (
    MAX_KINDS,
    JsonFormatter,
    RepeatFilter,
    TextFormatter,
    configure_logging,
)
from rtcli_server.redaction import redact
from tests.support.forged_tokens import forge

CANARY = "canary-5c1f"
JWT = forge(name=CANARY)


class Line(NamedTuple):
    """What a parser of text logs reads in a record."""

    logger: str
    message: str
    fields: dict[str, str]
    rest: list[str]  # lines of its traceback


_VALUE = r'("(?:[^"\\]|\\.)*"|[^ ]*?)'  # a JSON string, or as it stands
_LINE = re.compile(rf"\S+ [A-Z]+ {_VALUE}: {_VALUE.replace('[^ ]', '.')}((?: \w+={_VALUE})*)", re.DOTALL)
_FIELD = re.compile(rf" (\w+)={_VALUE}(?= |$)")


def read(text: str) -> Line:
    """Parse one record, as docs/deployment.md describes it."""
    first, *rest = text.rstrip("\n").split("\n")
    assert all(line.startswith("    ") for line in rest)
    match = _LINE.fullmatch(first)
    assert match is not None, first

    def value(written: str) -> str:
        return str(json.loads(written)) if written.startswith('"') else written

    fields = {name: value(written) for name, written in _FIELD.findall(match[3])}
    return Line(value(match[1]), value(match[2]), fields, rest)


@pytest.fixture
def restored() -> Iterator[None]:
    """The process's logging as it was."""
    root = logging.getLogger()
    loggers = {name: logging.getLogger(name) for name in list(logging.Logger.manager.loggerDict)}
    saved = {
        name: (list(logger.handlers), logger.propagate, logger.level)
        for name, logger in {"": root, **loggers}.items()
    }
    yield
    logging.captureWarnings(capture=False)
    for name, (handlers, propagate, level) in saved.items():
        logger = logging.getLogger(name or None)
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)


class Log:
    """A configured logging and what came out of it."""

    def __init__(self, log_format: Literal["text", "json"], level: int = logging.INFO) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        configure_logging(log_format, level=level, stream=self.stream, clock=lambda: self.now)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def fail() -> None:
    try:
        int(f"Bearer {CANARY}")
    except ValueError as error:
        raise RuntimeError(f"token={CANARY} {JWT}") from error


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_canary_is_in_no_output_of_any_logger(log_format: Literal["text", "json"]) -> None:
    logging.config.dictConfig(LOGGING_CONFIG)  # whatever uvicorn set up before
    log = Log(log_format, logging.DEBUG)
    for name in (
        "uvicorn.error",
        "uvicorn.access",
        "uvicorn",
        "rtcli_server.connections.hub",
        "websockets.server",
        "new.one",
    ):
        logger = logging.getLogger(name)
        logger.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", f"/api/v1/ws?token={CANARY}")
        logger.info("joined", extra={"connection_id": "c-1", "url": f"/x?token={CANARY}"})
        try:
            fail()
        except RuntimeError:
            logger.exception("failed with ?token=%s", CANARY)
        logger.error("wrong %s arguments token=%d", f"token={CANARY}", stack_info=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"token={CANARY}", UserWarning, stacklevel=1)
    assert log.text.count("[redacted]") > 20
    assert CANARY not in log.text
    assert JWT not in log.text
    assert "RuntimeError" in log.text
    assert "c-1" in log.text


@pytest.mark.usefixtures("restored")
def test_text_for_a_person() -> None:
    log = Log("text")
    record = logging.makeLogRecord(
        {
            "name": "rtcli_server.connections.hub",
            "levelname": "INFO",
            "levelno": 20,
            "msg": "joined %s",
            "args": ("a",),
        }
    )
    record.created = 1_777_627_800.25
    record.connection_id = "c-1"
    logging.getLogger().handle(record)
    assert (
        log.text == "2026-05-01T09:30:00.250Z INFO rtcli_server.connections.hub: joined a connection_id=c-1\n"
    )


@pytest.mark.usefixtures("restored")
def test_json_for_a_machine() -> None:
    log = Log("json")
    try:
        int("no")
    except ValueError:
        logging.getLogger("rtcli_server.x").warning(
            "it %s", "failed", exc_info=True, extra={"connection_id": "c-1", "count": 3, "none": None}
        )
    (record,) = log.records
    assert list(record)[:4] == ["ts", "level", "logger", "message"]
    assert record["ts"].endswith("Z")
    assert record["exception"].endswith("'no'")
    del record["ts"], record["exception"]
    assert record == {
        "level": "warning",
        "logger": "rtcli_server.x",
        "message": "it failed",
        "connection_id": "c-1",
        "count": 3,
        "none": None,
    }


@pytest.mark.usefixtures("restored")
def test_nobody_writes_lines_of_their_own() -> None:
    for log_format in ("text", "json"):
        log = Log(log_format)
        logging.getLogger("x").info("name\nERROR forged\r\x1b[2J\u202e\u2028\x9b\tend \ud800")
        assert log.text.count("\n") == 1
        if log_format == "text":
            assert log.text.isprintable() or log.text[:-1].isprintable()
            assert read(log.text).message.startswith(
                "name\nERROR forged\r\x1b[2J\u202e\u2028\x9b\tend \ud800"
            )
        else:
            assert log.records[0]["message"].startswith("name\nERROR forged")


@pytest.mark.usefixtures("restored")
def test_a_message_is_cut() -> None:
    log = Log("text")
    logging.getLogger("x").info("%s", "y" * 100_000)
    assert len(log.text) < 9_000


@pytest.mark.usefixtures("restored")
def test_debug_is_not_said_unless_wanted() -> None:
    log = Log("text")
    logging.getLogger("rtcli_server.x").debug("quiet")
    logging.getLogger("httpx").info("GET https://x/?token=%s", CANARY)
    assert log.text == ""


@pytest.mark.usefixtures("restored")
def test_a_stream_that_is_gone_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("text")
    log.stream.close()
    logging.getLogger("x").error("token=%s", CANARY)
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("restored")
def test_repeats_are_counted_instead() -> None:
    log = Log("json")
    logger = logging.getLogger("rtcli_server.loop")
    for number in range(1_000):
        logger.error("cannot accept: %d", number)
    assert len(log.records) == 10
    logger.error("another")
    logger.warning("cannot accept: %d", 0)
    assert len(log.records) == 12
    log.now = 59.9
    logger.error("cannot accept: %d", 5)
    assert len(log.records) == 12
    log.now = 60.0
    logger.error("cannot accept: %d", 6)
    assert log.records[-1]["not_logged"] == 991
    logger.error("cannot accept: %d", 7)
    assert "not_logged" not in log.records[-1]
    for number in range(100):
        logger.info("%d", number)
    assert len(log.records) == 114


@pytest.mark.usefixtures("restored")
def test_refusals_are_limited_too() -> None:
    log = Log("json")
    for _ in range(100):
        logging.getLogger("rtcli_server.auth.admission").info("rejected: %s", "expired")
        logging.getLogger("rtcli_server.connections.hub").info("connected")
    counts = [record["logger"] for record in log.records]
    assert (counts.count("rtcli_server.auth.admission"), counts.count("rtcli_server.connections.hub")) == (
        10,
        100,
    )


def test_what_is_remembered_of_repeats_is_bounded() -> None:
    times = iter(range(10_000_000))
    repeats = RepeatFilter(lambda: next(times) * 0.001)
    for number in range(5_000):
        record = logging.makeLogRecord({"msg": f"kind {number}", "levelno": logging.ERROR})
        assert repeats.filter(record)
    assert len(repeats._seen) <= MAX_KINDS


@given(st.text(), st.text(), st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1), st.text()))
def test_any_record_becomes_one_line(message: str, name: str, extra: dict[str, str]) -> None:
    record = logging.makeLogRecord({"msg": message, "name": name, **{f"x{key}": extra[key] for key in extra}})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["logger"] == name.encode("utf-8", "backslashreplace").decode()
    text = TextFormatter().format(record)
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


LEVEL = {"levelname": "INFO", "levelno": logging.INFO}
# What people would forge: fields, quotes, escapes, the ends of lines, other records.
FORGERIES = st.text() | st.text(' ="\\\\\n\r\t\x1b\x85\u2028\u00a0xn=:0').map(
    lambda text: f"{text} user_id=root{text}\n2026-05-01T09:30:00.250Z INFO rtcli_server.x: forged"
)


@given(
    st.sampled_from(["rejected: %s", "%s", "%s of %s", "no arguments"]),
    st.dictionaries(st.sampled_from(["user_id", "room", "address"]), FORGERIES | st.integers() | st.none()),
    st.data(),
)
def test_a_parser_gets_back_what_was_logged(msg: str, extra: dict[str, object], data: st.DataObject) -> None:
    """Text from outside makes no field and no line of its own, whichever part of a record it is in."""
    args = tuple(data.draw(FORGERIES) for _ in range(msg.count("%s")))
    record = logging.makeLogRecord({"msg": msg, "args": args, "name": "rtcli_server.x", **LEVEL, **extra})
    if data.draw(st.booleans()):
        record.exc_info = (ValueError, ValueError(data.draw(FORGERIES)), None)
    line = read(TextFormatter().format(record))
    assert line.logger == "rtcli_server.x"
    assert line.message == redact(msg % args)
    assert line.fields == {name: redact(str(value)) for name, value in extra.items()}


@pytest.mark.parametrize("sub", ["a b", "x connection_id=c-9", 'q" y="z', "=", "back\\slash", "\u2003", "é"])
def test_a_user_id_forges_no_field(sub: str) -> None:
    extra = {"user_id": sub, "connection_id": "c-1"}
    record = logging.makeLogRecord({"msg": "connected", "name": "n", **LEVEL, **extra})
    line = read(TextFormatter().format(record))
    assert line == Line("n", "connected", extra, [])


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_worker_is_named_in_every_line(log_format: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    configure_logging(log_format, stream=stream, worker=3)
    logging.getLogger("rtcli_server.connections.hub").warning("something")
    fields = {"text": f" worker=3 pid={os.getpid()}", "json": f'"worker":3,"pid":{os.getpid()}'}
    assert fields[log_format] in stream.getvalue()
