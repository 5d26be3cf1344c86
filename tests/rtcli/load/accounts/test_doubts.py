"""What is said of messages without acknowledgements that nobody has received."""

from __future__ import annotations

import pytest

from rtcli.load.accounts.doubts import Doubt, Settled, find_doubts, settle_doubts
from rtcli.load.audit.evidence import WorkerAccount
from rtcli.load.audit.lifecycle import Lifecycle
from rtcli.load.audit.sender_log import message_id

PATIENCE = 100
PHASES = [("calm", 1_000), ("storm", 2_000)]
CLOSED = ("close_1006", "the connection broke off (1006) before the acknowledgement")


def account(*, unsure: list[int], sure: list[int]) -> WorkerAccount:
    return WorkerAccount({}, [], {}, 0, 0, {}, unsure, sure)


def doubts(ended: int | None, ended_by: tuple[str, str] | None, *, acked: bool = False) -> list[Doubt]:
    """Of two messages, sent at 500 and 990, of which the first has been received."""
    audit = Lifecycle(1, 0)
    log = audit.open_log("writer 1", "hall", acked=acked)
    for at in (500, 990):
        audit.send(log, at, at)
    log.see(0, 600, 1)
    log.ended, log.ended_by = ended, ended_by
    return find_doubts(audit.logs.values(), patience=PATIENCE)


def settled(found: list[Doubt], *, unsure: bool, sure: bool = False) -> Settled:
    """When its receivers in one worker are unsure, and in another one sure, of the second message."""
    ids = [message_id(0, 1)]
    accounts = [
        account(unsure=ids if unsure else [], sure=[]),
        account(unsure=[], sure=ids if sure else []),
    ]
    return settle_doubts(found, accounts, PHASES, 0)


@pytest.mark.parametrize(
    ("ended", "ended_by", "outcome"),
    [
        (None, None, "unknown"),
        (990 + PATIENCE, CLOSED, "unknown"),
        (995, None, "excused"),
        (995, CLOSED, "unanswered"),
    ],
)
def test_how_the_senders_connection_ended_says_what_it_was(
    ended: int | None, ended_by: tuple[str, str] | None, outcome: str
) -> None:
    (found,) = doubts(ended, ended_by)
    assert (found.outcome, found.number, found.sent) == (outcome, 2, 990)


def test_messages_with_an_acknowledgement_are_no_doubts() -> None:
    assert not doubts(None, None, acked=True)


def test_what_somebody_should_surely_have_got_is_lost_and_no_doubt() -> None:
    assert settled(doubts(None, None), unsure=True).unknown == 1
    assert settled(doubts(None, None), unsure=True, sure=True).unknown == 0


def test_what_nobody_was_there_for_is_no_doubt() -> None:
    assert settled(doubts(None, None), unsure=False).unknown == 0


def test_what_the_scenario_cut_off_is_excused() -> None:
    found = settled(doubts(995, None), unsure=True)
    assert found.unknown == 0
    counts = found.sends.roles["writer"]
    assert (counts.accepted, counts.excused, counts.unconfirmed) == ({"calm": -1}, {"calm": 1}, -1)
    assert not found.sends.groups


def test_what_the_server_cut_off_is_unanswered() -> None:
    found = settled(doubts(995, CLOSED), unsure=True)
    assert found.unknown == 0
    (group,) = found.sends.groups
    assert (group.key.outcome, group.key.code, group.key.phase, group.count) == (
        "unanswered",
        "close_1006",
        "calm",
        1,
    )
    assert group.evidence[0].message == "writer 1 #2"
    assert found.sends.roles["writer"].accepted == {"calm": -1}
