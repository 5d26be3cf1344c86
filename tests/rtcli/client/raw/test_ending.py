from __future__ import annotations

import pytest

from rtcli.client.raw.ending import By, Ending, exit_code_of, failure_of
from rtcli.errors import Exit

EXITS = {1000: 0, 1005: 0, 1008: 4, 1001: 3, 1006: 3, 1012: 3, 1013: 3}
OTHERS = [1002, 1003, 1007, 1009, 1010, 1011, 1014, 3000, 3999, 4000, 4001, 4999]


@pytest.mark.parametrize(("code", "exit_code"), [*EXITS.items(), *((code, 6) for code in OTHERS)])
def test_the_exit_code_is_that_of_the_close_code(code: int, exit_code: int) -> None:
    ending = Ending(code, "why", By.SERVER)
    assert exit_code_of(ending) == exit_code
    if exit_code:
        failure = failure_of(ending, "host:1")
        assert failure.error.exit_code == exit_code
        assert f"({code} why)" in failure.error.message
        assert failure.error.hint
        assert failure.error.facts == {"close_code": code, "close_reason": "why"}
        assert failure.retry == (exit_code == 3)


def test_what_we_close_ourselves_is_in_order_unless_we_had_to() -> None:
    assert exit_code_of(Ending(4000, "", By.US)) == Exit.OK
    too_big = Ending(1009, "", By.US, "sent a message of more than 5 bytes")
    assert exit_code_of(too_big) == Exit.SERVER
    assert failure_of(too_big, "host:1").error.message == "host:1 sent a message of more than 5 bytes (1009)"
    deaf = Ending(1006, "", By.NETWORK, "did not answer a ping within 20 s")
    assert failure_of(deaf, "host:1").retry
