"""Any mix of messages, time and outcomes, against a model of one connection written for clearness alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rtcli.protocol.codes import CloseCode
from rtcli_server.session.decisions import (
    CheckToken,
    Close,
    Decision,
    Join,
    Leave,
    Publish,
    Reply,
    SetTyping,
)
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode, SessionSettings
from tests.support.fakes.session import WALL, FakeRights, text
from tests.support.protocol.room_names import spellings

ROOMS = ["a", "é", "Größe, 3 %", "한", "e"]
LIMITS = SessionSettings(max_rooms=3, max_invalid=4, rate_limit_per_s=None)
rooms = st.sampled_from(ROOMS)
spelled_rooms = rooms.flatmap(lambda room: st.tuples(st.just(room), spellings(room)))
some_rooms = st.frozensets(rooms)


class SessionMachine(RuleBasedStateMachine):
    """Drives a session of /ws/v2, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.rights = FakeRights(expires_at=WALL + 500)
        self.session = Session(
            connection_id="c1",
            rights=self.rights,
            instance_id="i1",
            heartbeat=HeartbeatMode.SERVER,
            settings=LIMITS,
            now=0.0,
            wall=WALL,
        )
        self.members: dict[str, str] = {}  # rooms, and how the latest join wrote them
        self.invalid = 0
        self.closed: CloseCode | None = None
        self.next_ping = 30.0
        self.answer_by: float | None = None
        self.answered = False
        self.misses = 0
        self.notice_at: float | None = WALL + 440

    # -- helpers -------------------------------------------------------------------------------------------

    def say(self, message: str, *, valid: bool = True) -> list[Decision]:
        decisions = self.session.receive(message, self.now, WALL + self.now)
        if self.closed is not None:
            assert decisions == []
            return decisions
        self.answered |= valid  # what is no message of the protocol answers no heartbeat of v2
        self.invalid = 0 if valid else self.invalid + 1
        return decisions

    def said(self, decisions: list[Decision]) -> dict[str, Any]:
        (reply,) = decisions
        assert isinstance(reply, Reply)
        value: dict[str, Any] = json.loads(reply.text)
        return value

    def check_error(self, decisions: list[Decision], code: str) -> None:
        said = self.said(decisions)
        assert (said["type"], said["data"]["code"], said["id"]) == ("error", code, "id")

    def refusal(self, room: str) -> str | None:
        """Why nothing may be published in `room`, or None."""
        if room not in self.members:
            return "not_in_room"
        return None if self.rights.can_publish(room) else "forbidden"

    # -- messages ------------------------------------------------------------------------------------------

    @rule(names=spelled_rooms, done=st.booleans())
    def join(self, names: tuple[str, str], done: bool) -> None:
        room, spelling = names
        decisions = self.say(text("join_room", "id", room=spelling))
        if self.closed is not None:
            return
        if not self.rights.can_join(room):
            self.check_error(decisions, "forbidden")
        elif room not in self.members and len(self.members) == LIMITS.max_rooms:
            self.check_error(decisions, "too_many_rooms")
        else:
            (decision,) = decisions
            assert isinstance(decision, Join)
            assert (decision.room, decision.spelling) == names
            if done:
                self.session.joined(decision)
                self.members[room] = spelling

    @rule(names=spelled_rooms)
    def leave(self, names: tuple[str, str]) -> None:
        room, spelling = names
        decisions = self.say(text("leave_room", "id", room=spelling))
        if self.closed is None and room in self.members:
            assert decisions == [Leave(room, "id", spelling)]
            del self.members[room]
        elif self.closed is None:
            self.check_error(decisions, "not_in_room")

    @rule(names=spelled_rooms)
    def chat(self, names: tuple[str, str]) -> None:
        room, spelling = names
        decisions = self.say(text("chat_message", "id", room=spelling, content="x"))
        if self.closed is not None:
            return
        refusal = self.refusal(room)
        if refusal is None:
            assert decisions == [Publish(room, "x", "id", spelling)]
        else:
            self.check_error(decisions, refusal)

    @rule(names=spelled_rooms, is_typing=st.booleans())
    def type(self, names: tuple[str, str], is_typing: bool) -> None:
        room, spelling = names
        decisions = self.say(text("typing", "id", room=spelling, is_typing=is_typing))
        if self.closed is not None:
            return
        refusal = self.refusal(room)
        if refusal is None:
            assert decisions == [SetTyping(room, is_typing)]
        else:
            self.check_error(decisions, refusal)

    @rule()
    def ping(self) -> None:
        decisions = self.say(text("ping", "id"))
        if self.closed is None:
            assert self.said(decisions)["type"] == "pong"

    @rule()
    def pong(self) -> None:
        assert self.say(text("pong")) == []

    @rule(bad=st.sampled_from(["{", "[]", text("nope"), text("join_room"), text("chat_message", room="a")]))
    def invalid_message(self, bad: str) -> None:
        decisions = self.say(bad, valid=False)
        if self.closed is not None:
            return
        closes = decisions[1:]
        if self.invalid == LIMITS.max_invalid:
            assert closes == [Close(CloseCode.PROTOCOL_VIOLATION, "protocol_violation")]
            self.closed = CloseCode.PROTOCOL_VIOLATION
        else:
            assert closes == []

    @rule(
        user=st.sampled_from(["7", "7", "7", "8"]),
        lasts=st.integers(60, 600),
        may_join=some_rooms,
        mute=some_rooms,
    )
    def refresh(self, user: str, lasts: int, may_join: frozenset[str], mute: frozenset[str]) -> None:
        decisions = self.say(text("refresh", "id", token="t"))
        if self.closed is not None:
            return
        assert decisions == [CheckToken("t", "id")]
        wall = WALL + self.now
        rights = FakeRights(user, wall + lasts, may_join, mute)
        first, *rest = self.session.refreshed(rights, "id", wall)
        if user != "7":
            self.check_error([first], "invalid_token")
            assert rest == []
            return
        assert self.said([first])["type"] == "refreshed"
        lost = sorted(self.members.keys() - may_join)
        assert rest == [Leave(room, None, self.members.pop(room)) for room in lost]
        self.rights = rights
        self.notice_at = rights.expires_at - min(60, lasts / 2)

    # -- time ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.closed is None)
    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        """Go on by a second at a time, as a driver that looks too often."""
        for _ in range(seconds):
            self.now += 1
            due = self.session.due(self.now, WALL + self.now)
            decisions = self.session.tick(self.now, WALL + self.now)
            expected = self.expected_of_time()
            assert [self.kind(decision) for decision in decisions] == expected
            assert due <= self.now or not expected, "it says when it is due"
            if self.closed is not None:
                return

    def kind(self, decision: Decision) -> str | CloseCode:
        if isinstance(decision, Close):
            assert decision.retry_after_ms == 0
            return decision.code
        return str(self.said([decision])["type"])

    def expected_of_time(self) -> list[str | CloseCode]:
        wall = WALL + self.now
        if wall >= self.rights.expires_at + 25:
            self.closed = CloseCode.TOKEN_EXPIRED
            return [self.closed]
        expected: list[str | CloseCode] = []
        if self.notice_at is not None and wall >= self.notice_at:
            self.notice_at = None
            expected.append("token_expiring")
        if self.answer_by is not None and self.now >= self.answer_by:
            self.answer_by = None
            self.misses = 0 if self.answered else self.misses + 1
            if self.misses == 3:
                self.closed = CloseCode.HEARTBEAT_TIMEOUT
                return [*expected, self.closed]
        if self.now >= self.next_ping:
            self.next_ping = self.now + 30
            self.answer_by = self.now + 10
            self.answered = False
            expected.append("ping")
        return expected

    # -- always --------------------------------------------------------------------------------------------

    @invariant()
    def the_books_agree(self) -> None:
        assert self.session.rooms == self.members.keys()
        assert self.session.closed is (self.closed is not None)


def test_sessions(soak: bool) -> None:
    run_state_machine_as_test(
        SessionMachine, settings=settings(max_examples=1000 if soak else 60, stateful_step_count=60)
    )
