from __future__ import annotations

import pytest

from rtcli.apps.chat.typing_throttle import TypingThrottle


def test_typing_is_announced_at_most_every_three_seconds() -> None:
    throttle = TypingThrottle(enabled=True)
    announced = [(now, throttle.changed(f"text {now}", now)) for now in (0.0, 1.0, 2.9, 3.0, 5.9, 6.0)]
    assert [now for now, active in announced if active] == [0.0, 3.0, 6.0]


def test_the_end_is_announced_once_and_only_if_others_do_not_know() -> None:
    throttle = TypingThrottle(enabled=True)
    assert throttle.changed("", 0.0) is None
    assert throttle.changed("a", 1.0) is True
    assert throttle.changed("", 2.0) is False
    assert throttle.changed("", 3.0) is None
    assert throttle.changed("a", 4.0) is True
    assert throttle.changed("", 20.0) is None, "the server ended it by itself"
    assert throttle.changed("b", 21.0) is True
    throttle.sent()
    assert throttle.changed("", 21.1) is None, "the message itself ended it"


@pytest.mark.parametrize("text", ["/who", "/", "  ", "\n"])
def test_commands_and_blanks_are_not_announced(text: str) -> None:
    assert TypingThrottle(enabled=True).changed(text, 0.0) is None


def test_nothing_is_announced_when_it_is_disabled() -> None:
    throttle = TypingThrottle(enabled=False)
    assert throttle.changed("a", 0.0) is None
    throttle.enabled = True
    assert throttle.changed("ab", 1.0) is True
    throttle.enabled = False
    assert throttle.changed("abc", 2.0) is False
