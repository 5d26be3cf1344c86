"""HTTP connections whose client does not read: a deadline, and a part in the budget."""

from __future__ import annotations

from rtcli_server.connections.answers import Answers
from rtcli_server.connections.send_budget import SendBudget


class FakeConnection:
    """An HTTP connection."""

    waiting_bytes = 0

    def __init__(self) -> None:
        self.cuts = 0

    def cut_off(self) -> None:
        self.cuts += 1


def new_answers() -> tuple[Answers, SendBudget]:
    budget = SendBudget(1_048_576, 1_048_576)
    return Answers(budget, deadline_s=30.0), budget


def test_one_that_does_not_read_is_cut_off_once_after_the_deadline() -> None:
    answers, budget = new_answers()
    connection = FakeConnection()
    answers.add(connection)
    answers.busy(connection, 100.0)
    assert budget.busy == {connection}
    answers.tick(130.0)
    assert connection.cuts == 0
    answers.tick(130.1)
    answers.tick(131.0)
    assert connection.cuts == 1
    assert budget.busy == set()


def test_one_that_reads_in_time_begins_anew() -> None:
    answers, budget = new_answers()
    connection = FakeConnection()
    answers.add(connection)
    answers.busy(connection, 100.0)
    answers.drained(connection)
    assert budget.busy == set()
    answers.busy(connection, 125.0)
    answers.tick(150.0)
    assert connection.cuts == 0


def test_nothing_is_kept_of_one_that_is_gone() -> None:
    answers, budget = new_answers()
    connection = FakeConnection()
    answers.add(connection)
    answers.busy(connection, 100.0)
    answers.remove(connection)
    answers.tick(1_000.0)
    assert (answers.outputs, budget.busy, connection.cuts) == (set(), set(), 0)
