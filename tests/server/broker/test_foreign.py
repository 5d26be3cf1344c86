"""How much foreign content was found, and how often the log is told."""

from __future__ import annotations

import pytest

from rtcli_server.broker import ForeignContent, ForeignDataError, Place
from rtcli_server.broker.foreign import LINE_EVERY_S


def test_each_piece_is_counted_and_the_log_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    foreign = ForeignContent(lambda: now)
    for _ in range(1_000):
        foreign.skip(Place.LOG, "room:a", ForeignDataError("not an entry"))
    now = LINE_EVERY_S
    for _ in range(1_000):
        foreign.skip(Place.MESSAGE, "room:b", ForeignDataError("not a message"))
    assert caplog.messages == [
        "skipped foreign content (log) of 'room:a': not an entry; 1 since the last such line",
        "skipped foreign content (message) of 'room:b': not a message; 1000 since the last such line",
    ]
    assert foreign.counts == {
        Place.LOG: 1_000,
        Place.MESSAGE: 1_000,
        Place.NOTIFICATION: 0,
        Place.PRESENCE: 0,
        Place.COMMAND: 0,
        Place.REVOCATION: 0,
    }
