"""What is lost with a connection that ends after the phases, when the server only had to deliver."""

from __future__ import annotations

from collections import defaultdict

import pytest

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.judge import Account, Judge
from rtcli.load.audit.records import Subscriber

PATIENCE = 50


def judge(*, dropped: bool, acked: bool, leaving: bool = False, closed: int = 500) -> Account:
    """One reader, one message at 100 that nobody receives, and the loss of the connection."""
    audit = Audit(7, 0, delivery_key_of=lambda _at, _lag: 0, on_complete=lambda _entry, _taken: None)
    reader = Subscriber("reader 1")
    member = audit.join(reader, "hall", 1, counts=defaultdict(int))
    audit.joined(member, 2)
    log = audit.open_log("writer 1", "hall")
    number, _ = audit.send(log, 100, 100)
    if acked:
        audit.acknowledge(log, number, 110, None)
    if leaving:
        audit.leaving(member, 105)
    log.ended = closed
    audit.lost(member, closed, dropped=dropped)
    return Judge(audit, 9_000, patience=PATIENCE, self_echo=True).judge()


@pytest.mark.parametrize("acked", [True, False])
def test_what_the_server_had_accepted_is_lost_when_it_goes_after_the_phases(acked: bool) -> None:
    account = judge(dropped=True, acked=acked)
    assert [(case.kind, case.user) for case in account.cases] == [("lost", "reader 1")]
    assert account.undelivered == 1


def test_without_an_answer_a_connection_that_breaks_at_once_tells_nothing() -> None:
    account = judge(dropped=True, acked=False, closed=120)
    assert (account.cases, account.indeterminate) == ([], 1)


def test_before_the_end_of_the_phases_it_was_on_its_way() -> None:
    account = judge(dropped=False, acked=True)
    assert (account.cases, account.indeterminate) == ([], 1)


def test_who_was_leaving_cannot_tell() -> None:
    account = judge(dropped=True, acked=True, leaving=True)
    assert (account.cases, account.indeterminate) == ([], 1)
