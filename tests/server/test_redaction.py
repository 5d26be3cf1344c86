"""What is redacted, and that the formatters of others get records that they can format."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator

import pytest
from hypercorn.config import Config
from hypercorn.logging import Logger
from uvicorn.config import LOGGING_CONFIG

from rtcli_server.redaction import SERVER_LOGGERS, RedactionFilter, install_redaction, redact
from tests.support.forged_tokens import forge

CANARY = "canary-5c1f"
JWT = forge(name=CANARY)


@pytest.mark.parametrize(
    "text",
    [
        f'127.0.0.1:5 - "WebSocket /api/v1/ws?token={CANARY}" [accepted]',
        f'"GET /api/v1/events/stream?room=a&token={CANARY}&x=1 HTTP/1.1" 200',
        f"/x?access_token={CANARY}",
        f"/x?token%3D{CANARY}",
        f"TOKEN={CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"[(b'authorization', b'Bearer {CANARY}'), (b'host', b'x')]",
        f"{{'authorization': 'Basic {CANARY}'}}",
        f"(b'sec-websocket-protocol', b'rt.v1, bearer.{CANARY}')",
        f"bearer%20{CANARY}",
        f"cookie: a=1; rt_token={CANARY}; b=2",
        f'{{"type":"refresh","data":{{"token":"{CANARY}"}}}}',
        f"{{'token': '{CANARY}'}}",
        f"secrets=('x',) secret='{CANARY}'",
        f"redis://user:{CANARY}@host:6379/0",
        f"redis://:{CANARY}@host:6379/0",
        f"token is {JWT}",
        f"x{CANARY[:0]} {JWT.rpartition('.')[0]}.",
    ],
)
def test_wherever_a_secret_stands(text: str) -> None:
    clean = redact(text)
    assert CANARY not in clean
    assert JWT not in clean
    assert JWT.split(".")[1] not in clean
    assert "[redacted]" in clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "token refused for room general: expired",
        "the token expired",
        '"GET /api/v1/rooms?limit=5 HTTP/1.1" 200',
        "key.something.else and eyes.on.you",
        "redis://host:6379/0",
        "bearer of news",
        "authorization failed",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text or text == "bearer of news"


class Output:
    """What a logger of this name writes by this formatter, when a filter stands before it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        self.logger = logging.getLogger("tests.redaction")
        self.logger.handlers.clear()
        self.logger.propagate = False
        self.logger.setLevel(logging.DEBUG)
        self.logger.addHandler(handler)
        handler.addFilter(RedactionFilter())

    @property
    def text(self) -> str:
        return self.stream.getvalue()


def test_arguments_keep_their_places() -> None:
    """The access formatter of uvicorn takes the five arguments apart."""
    config = LOGGING_CONFIG["formatters"]["access"]
    access = logging.config.DictConfigurator({"version": 1}).resolve(config["()"])(
        config["fmt"], use_colors=True
    )
    log = Output(access)
    log.logger.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", f"/x?token={CANARY}", "1.1", 200)
    assert "/x?token=[redacted] HTTP/1.1" in log.text
    assert "200" in log.text
    assert CANARY not in log.text


def test_what_is_secret_only_when_put_together() -> None:
    log = Output(logging.Formatter("%(message)s"))
    log.logger.warning("token=%s, %d%%", CANARY, 5)
    log.logger.warning("%(what)s", {"what": f"Bearer {CANARY}"})
    log.logger.warning("headers: %s", [(b"authorization", b"Bearer " + CANARY.encode())])
    assert log.text.count("[redacted]") == 3
    assert CANARY not in log.text
    assert "5%" in log.text


def test_fields_tracebacks_and_arguments_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log = Output(logging.Formatter("%(message)s %(color_message)s", defaults={"color_message": ""}))
    log.logger.warning("x", extra={"color_message": f"/?token={CANARY}"}, stack_info=True)
    log.logger.warning("%d", f"token={CANARY}")
    try:
        int(JWT)
    except ValueError:
        log.logger.exception("failed")
    assert "ValueError: invalid literal for int() with base 10: '[redacted]'" in log.text
    assert CANARY not in log.text
    assert JWT not in log.text


def test_a_record_without_secrets_is_what_it_was() -> None:
    record = logging.makeLogRecord({"msg": "%s of %d", "args": ("one", 2), "user": "7"})
    before = dict(vars(record))
    assert RedactionFilter().filter(record)
    assert vars(record) == before


@pytest.fixture
def handler() -> Iterator[logging.StreamHandler[io.StringIO]]:
    """A handler of the application, on the root logger."""
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_every_line_of_the_process_is_redacted(handler: logging.StreamHandler[io.StringIO]) -> None:
    install_redaction()
    install_redaction()
    assert len(handler.filters) == 1
    for name in (*SERVER_LOGGERS, "somebody.else"):
        logger = logging.getLogger(name)
        assert len(logger.filters) == (name in SERVER_LOGGERS)
        propagate, logger.propagate = logger.propagate, True
        logger.error('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", f"/api/v1/ws?token={CANARY}")
        logger.propagate = propagate
    text = handler.stream.getvalue()
    assert text.count("token=[redacted]") == len(SERVER_LOGGERS) + 1
    assert CANARY not in text


def test_servers_that_configure_their_logs_later_keep_the_filter() -> None:
    install_redaction()
    logging.config.dictConfig(LOGGING_CONFIG)
    config = Config()
    config.accesslog = config.errorlog = "-"
    Logger(config)
    for name in SERVER_LOGGERS:
        assert len(logging.getLogger(name).filters) == 1
