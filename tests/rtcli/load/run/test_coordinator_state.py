"""What the coordinator keeps of workers that end before their time."""

from __future__ import annotations

import pytest

from rtcli.load.accounts.attendance import WorkerAttendance
from rtcli.load.run.result import make_result
from tests.support.load.runs import new_state

TEXT = """
    name: two
    phases: [{ name: run, for: 1s }]
    roles:
      reader: { users: 3, flow: [connect, { join: lobby }, hold] }
"""


@pytest.mark.parametrize(("accounted", "planned", "failures"), [(True, 0, 0), (False, 3, 1)])
def test_users_of_a_worker_that_ends_are_counted_once(accounted: bool, planned: int, failures: int) -> None:
    state = new_state(TEXT)
    state.ended = 1.0
    if accounted:
        state.attendance[0] = WorkerAttendance()  # it says: nobody of its users had begun
    state.lose(0, "worker 1 was killed (signal 9, SIGKILL)", is_bug=False)
    assert (len(state.failures), len(state.gone)) == (failures, failures)
    accounts = make_result(state).accounts
    assert accounts is not None
    assert accounts.users.planned == planned


def test_a_crash_behind_the_last_account_is_told() -> None:
    state = new_state(TEXT)
    state.attendance[0] = WorkerAttendance()
    state.lose(0, "worker 1 ended with exit code 3", is_bug=True)
    assert [failure.is_bug for failure in state.failures] == [True]
    assert not state.gone
