"""Errors of Redis as causes: told apart by the code of the answer, and none where there is no connection."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as LostConnectionError

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.redis.causes import CONNECTION, Cause, cause_of, refusal


def parsed(answer: str) -> Exception:
    """The exception that redis-py makes of an error answer."""
    error: Exception = BaseParser.parse_error(answer)  # type: ignore[no-untyped-call] # redis-py is typed in part
    return error


ANSWERS = [
    ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
    ("MISCONF Errors writing to the AOF file: No space left on device", "MISCONF"),
    ("READONLY You can't write against a read only replica.", "READONLY"),
    ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
    ("NOPERM User rt has no permissions to run the 'evalsha' command", "NOPERM"),
    ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
]


@pytest.mark.parametrize(("answer", "code"), ANSWERS, ids=[code for _, code in ANSWERS])
def test_an_error_answer_keeps_its_code(answer: str, code: str) -> None:
    error = parsed(answer)
    assert cause_of(error) == Cause(code, answer)
    failed = BrokerUnavailableError("Redis refused")
    failed.__cause__ = error
    assert refusal(failed) == Cause(code, answer)


def test_where_a_script_ended_is_not_told() -> None:
    error = parsed("OOM command not allowed script: 0f3a, on @user_script:38.")
    assert cause_of(error) == Cause("OOM", "OOM command not allowed")


def test_what_a_script_may_not_do_has_a_code_in_every_version() -> None:
    text = "The user executing the script can't run this command or subcommand"
    assert cause_of(parsed(f"ERR {text}")) == Cause("NOPERM", f"NOPERM {text}")


@pytest.mark.parametrize("error", [LostConnectionError("reset"), OSError("reset"), TimeoutError()])
def test_all_ways_to_have_no_connection_are_one_cause(error: Exception) -> None:
    assert cause_of(error) == Cause(CONNECTION, str(error) or "TimeoutError")
    assert refusal(BrokerUnavailableError("away")) == Cause(CONNECTION, "away")
