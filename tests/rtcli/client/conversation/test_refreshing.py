"""A refresh that the server puts off is due again later, once, on the same connection alone."""

from __future__ import annotations

from rtcli.client.conversation.refreshing import Refreshing


def test_only_the_latest_refresh_is_put_off() -> None:
    refreshing = Refreshing()
    assert not refreshing.put_off("t1", 5.0)
    assert not refreshing.put_off(None, 5.0)
    refreshing.begin("old", "t1")
    latest = refreshing.begin("new", "t2")
    assert not refreshing.put_off("t1", 5.0)
    assert refreshing.take_due(9.0) is None
    assert refreshing.put_off("t2", 5.0)
    assert refreshing.repeat_at == 5.0
    assert refreshing.take_due(4.9) is None
    assert refreshing.take_due(5.0) == latest
    assert refreshing.take_due(9.0) is None
    assert refreshing.put_off("t2", 12.0), "again and again, as long as the server says so"


def test_a_newer_token_and_a_lost_connection_end_it() -> None:
    refreshing = Refreshing()
    refreshing.begin("old", "t1")
    refreshing.put_off("t1", 5.0)
    refreshing.begin("new", "t2")
    assert refreshing.take_due(9.0) is None
    refreshing.put_off("t2", 5.0)
    refreshing.lost()
    assert refreshing.take_due(9.0) is None
    assert not refreshing.put_off("t2", 5.0)
