"""What is logged for one connection has a limit, and what was left out is counted."""

from __future__ import annotations

import logging

import pytest

from rtcli_server.transports.http.access_log import BURST, LINES_PER_S, AccessLog
from rtcli_server.transports.http.head import parse_head

HEAD = parse_head(b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", 10)
LOGGER = "rtcli_server.transports.http.access_log"


def test_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    AccessLog("192.0.2.1:5", 0.0).request(HEAD, 404, 0.0)
    assert caplog.messages == ['192.0.2.1:5 - "GET /a?b HTTP/1.1" 404']


def test_many_requests_of_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    log = AccessLog("192.0.2.1:5", 0.0)
    for _ in range(BURST + 1_000):
        log.request(HEAD, 200, 0.0)
    assert len(caplog.records) == BURST
    log.request(HEAD, 200, 1.0 / LINES_PER_S)
    assert caplog.records[-1].__dict__["not_logged"] == 1_000
    log.request(HEAD, 200, 1.0 / LINES_PER_S)
    log.ended()
    assert caplog.records[-1].__dict__["not_logged"] == 1
    assert len(caplog.records) == BURST + 2


def test_nothing_is_said_of_a_connection_whose_requests_are_all_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    AccessLog("192.0.2.1:5", 0.0).ended()
    assert caplog.messages == []
