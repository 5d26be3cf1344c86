"""What is kept of violations: the frames around a loss, both arrivals of a duplicate, some of each kind."""

from __future__ import annotations

from collections import Counter, defaultdict

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.evidence import WorkerAccount, make_worker_account
from rtcli.load.audit.judgement.judge import Judge
from rtcli.load.audit.records import KEPT_BYTES, Delivery, Subscriber
from rtcli.load.results.model import Violation

PATIENCE = 1_000
RUN = 5


class Hall:
    """One room: a writer, readers, and messages that are handed to them by number, one a millisecond."""

    def __init__(self, readers: int, *, max_evidence: int = 1000) -> None:
        self.audit = Audit(
            RUN,
            0,
            delivery_key_of=lambda _at, _lag: 0,
            on_complete=lambda *_: None,
            max_evidence=max_evidence,
        )
        self.now = 1_000
        self.readers = [Subscriber(f"reader {number}") for number in range(1, readers + 1)]
        for reader in self.readers:
            member = self.audit.join(reader, "hall", self.now, counts=defaultdict(int))
            self.audit.joined(member, self.now)
        self.log = self.audit.open_log("writer 1", "hall")
        self.tokens: list[bytes] = []

    def send(self) -> int:
        self.now += 1_000
        number, token = self.audit.send(self.log, self.now, self.now, " hello")
        self.audit.acknowledge(self.log, number, self.now + 1, None)
        self.tokens.append(token)
        return number

    def give(self, reader: int, number: int, *, text: str = " hello") -> None:
        self.now += 10
        token = self.tokens[number]
        content = token.decode() + text
        frame = f'{{"number":{number + 1},"text":"{content}"}}'.encode()
        user, at = self.readers[reader], frame.find(b"~rt")
        self.audit.receive(
            Delivery(user, "hall", token, None, self.now, frame, frame, at=at, content=content)
        )

    def account(self, keep: int = 200) -> WorkerAccount:
        self.now += 10 * PATIENCE
        account = Judge(self.audit, self.now, patience=PATIENCE, self_echo=True).judge()
        return make_worker_account(self.audit, account, keep=keep, bin_of=int)

    def only(self) -> Violation:
        (violation,) = self.account().violations
        return violation


def test_what_comes_after_the_judgement_is_too_late() -> None:
    """Connections stay open until all workers have judged; a server that is late must not break that."""
    hall = Hall(2)
    first, second = hall.send(), hall.send()
    hall.give(0, first)
    hall.give(1, first)
    counts = hall.account().counts
    assert counts["lost"] == 2
    hall.give(0, second)
    assert hall.audit.findings.counts == {}


def numbers(violation: Violation) -> list[str]:
    return [frame.text.partition(",")[0] for frame in violation.frames]


def test_a_loss_has_the_frames_before_and_after_it() -> None:
    hall = Hall(2)
    for _ in range(4):
        number = hall.send()
        hall.give(0, number)
        if number != 2:
            hall.give(1, number)
    lost = hall.only()
    assert (lost.kind, lost.message, lost.subscriber) == ("lost", "writer 1 #3", "reader 2")
    assert numbers(lost) == ['{"number":2', '{"number":4']
    assert [frame.time for frame in lost.frames] == sorted(frame.time for frame in lost.frames)
    assert lost.frames[0].time == 0.00304  # when this reader got it, not the first of the room


def test_several_losses_in_a_row_have_them_each() -> None:
    hall = Hall(2)
    for _ in range(5):
        number = hall.send()
        hall.give(0, number)
        if number not in {1, 2, 3}:
            hall.give(1, number)
    assert [numbers(lost) for lost in hall.account().violations] == [['{"number":1', '{"number":5']] * 3


def test_a_loss_that_nobody_noticed_names_the_messages_before_and_after_it() -> None:
    hall = Hall(2)
    first, second, third, fourth = (hall.send() for _ in range(4))
    hall.give(1, first)
    hall.give(1, third)
    for number in (first, second, third, fourth):
        hall.give(0, number)
    lost = [it for it in hall.account().violations if it.number == 2]
    assert [frame.text for frame in lost[0].frames] == [
        "sent, and received before it: writer 1 #1",
        "sent, and received after it: writer 1 #3",
    ]


def test_a_loss_that_was_made_good_late_leaves_no_evidence_behind() -> None:
    hall = Hall(2)
    for number in (hall.send() for _ in range(3)):
        hall.give(0, number)
    for number in (0, 2, 1):
        hall.give(1, number)
    assert hall.audit.skips == {}
    assert Counter(it.kind for it in hall.account().violations) == {"reordered": 1}


def test_a_duplicate_has_both_arrivals() -> None:
    hall = Hall(1)
    hall.give(0, hall.send())
    hall.give(0, 0)
    again = hall.only()
    assert (again.kind, numbers(again)) == ("duplicate", ['{"number":1', '{"number":1'])
    assert [frame.time for frame in again.frames] == [0.00201, 0.00202]


def test_a_duplicate_of_an_earlier_message_says_what_is_known_of_the_first() -> None:
    hall = Hall(2)
    for number in (hall.send() for _ in range(3)):
        hall.give(0, number)
    hall.give(0, 0)
    again = [it for it in hall.account().violations if it.kind == "duplicate"]
    first = again[0].frames[0]
    assert first.text == "its first copy had come to the first in the room"


def test_each_kind_keeps_frames_however_many_there_are_of_another() -> None:
    hall = Hall(1, max_evidence=10)
    hall.give(0, hall.send())
    for _ in range(100):
        hall.give(0, 0)
    for number in (hall.send() for _ in range(20)):
        hall.give(0, number, text=" other")
    kept = Counter(finding.kind for finding in hall.audit.findings if finding.raw)
    assert kept == {"duplicate": 5, "corrupt": 5}
    assert sum(1 for finding in hall.audit.findings if finding.context) <= 10


def test_a_long_frame_is_kept_in_part() -> None:
    hall = Hall(1)
    hall.give(0, hall.send(), text="x" * 100_000)
    (finding,) = hall.audit.findings
    assert len(finding.raw) == KEPT_BYTES


def test_what_came_damaged_says_how() -> None:
    hall = Hall(1)
    for text in (" hell", " hello!", " jello"):
        hall.give(0, hall.send(), text=text)
    assert [it.detail for it in hall.account().violations] == [
        "its text is shorter than what was sent",
        "its text is longer than what was sent",
        "its text was changed",
    ]


def test_an_altered_first_delivery_is_not_what_others_are_measured_by() -> None:
    hall = Hall(3)
    number = hall.send()
    hall.give(0, number, text=" other")
    hall.give(1, number)
    hall.give(2, number, text=" other")
    found = [(it.kind, it.subscriber) for it in hall.account().violations]
    assert found == [("corrupt", "reader 1"), ("corrupt", "reader 3")]
