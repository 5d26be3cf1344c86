from __future__ import annotations

import pytest

from rtcli.apps.ws.expectations import Wanted, read_expectations
from rtcli.apps.ws.verdict import judge
from rtcli.client.raw.ending import By, Ending
from rtcli.client.raw.frames import Direction, Kind, Message
from rtcli.errors import CliError

OURS, THEIRS = Ending(1000, "", By.US), Ending(1000, "bye", By.SERVER)
LOST = Ending(1006, "", By.NETWORK)


def wanted(*texts: str, count: int | None = None, came: str = "") -> Wanted:
    found = Wanted(read_expectations(texts, ()), count)
    if came:
        found.see(Message(Direction.IN, Kind.TEXT, came.encode()))
    return found


@pytest.mark.parametrize("ending", [OURS, THEIRS, LOST])
def test_what_came_counts_whatever_the_end_was(ending: Ending) -> None:
    assert judge(ending, "h:1", wanted("a", came="a"), unsent=True) is None
    assert judge(ending, "h:1", wanted(count=1, came="a"), unsent=True) is None
    with pytest.raises(CliError, match=r"^nothing came for --expect 'b'$") as caught:
        judge(ending, "h:1", wanted("b", count=1, came="a"), unsent=False)
    assert caught.value.exit_code == 6


def test_a_good_end_without_what_was_wanted() -> None:
    with pytest.raises(
        CliError, match=r"^h:1 closed the connection \(1000 bye\), and 1 of 2 messages came$"
    ) as caught:
        judge(THEIRS, "h:1", wanted(count=2, came="a"), unsent=False)
    assert caught.value.exit_code == 6
    with pytest.raises(CliError, match=r"^nothing came for --expect 'b' in time$") as caught:
        judge(OURS, "h:1", wanted("b", came="a"), unsent=False)
    assert caught.value.exit_code == 5


def test_a_loss_may_be_mended_and_a_rest_may_not() -> None:
    failure = judge(LOST, "h:1", wanted("b"), unsent=True)
    assert failure is not None
    assert failure.retry
    assert judge(THEIRS, "h:1", wanted(), unsent=False) is None
    assert judge(OURS, "h:1", wanted(), unsent=True) is None
    with pytest.raises(CliError, match="before all of the input was sent") as caught:
        judge(THEIRS, "h:1", wanted(), unsent=True)
    assert (caught.value.exit_code, caught.value.facts["close_code"]) == (3, 1000)
