"""The edges of a user's memberships, as the audit records them."""

from __future__ import annotations

import pytest

from rtcli.load.adapters import Gap, Joined, Position
from rtcli.load.users.memberships import Memberships
from tests.support.load.contexts import user_context

AT_7 = Position("abcd", 7)


async def test_a_membership_is_requested_confirmed_and_left() -> None:
    async with user_context() as user:
        rooms = Memberships(user)
        member = rooms.request("lobby", websocket=True)
        assert rooms.get("lobby") is member
        rooms.confirm(Joined("lobby", AT_7, None), 1_000)
        assert member.joined == 1_000
        assert rooms.resume_position(member) == AT_7
        assert not rooms.confirm_leave("lobby", 2_000)  # it did not ask to leave
        user.worker.audit.leaving(member, 2_000)
        assert rooms.confirm_leave("lobby", 3_000)
        assert rooms.get("lobby") is None
        assert list(rooms) == []


async def test_what_nobody_asked_for_is_ignored() -> None:
    async with user_context() as user:
        rooms = Memberships(user)
        rooms.confirm(Joined("lobby", AT_7, None), 1_000)
        rooms.declare_gap(Gap("lobby", AT_7, AT_7, 0))
        assert not rooms.confirm_leave("lobby", 1_000)
        assert list(rooms) == []


async def test_a_loss_ends_what_was_not_confirmed_and_keeps_the_rest() -> None:
    async with user_context() as user:
        rooms = Memberships(user)
        rooms.request("hall", websocket=True)
        lobby = rooms.request("lobby", websocket=True)
        rooms.confirm(Joined("lobby", None, None), 1_000)
        rooms.lose(2_000)
        assert list(rooms) == [lobby]
        assert lobby.lost == 2_000
        rooms.end_unconfirmed(3_000)
        assert list(rooms) == [lobby]
        rooms.end(lobby, 3_000)
        assert list(rooms) == []


@pytest.mark.parametrize(
    ("said", "together"),
    [
        ((True, True), True),
        ((True, False), False),
        ((False, True), False),
        ((None, True), True),
        ((None,), None),
    ],
)
async def test_a_resume_is_complete_if_it_is_in_all_rooms(
    said: tuple[bool | None, ...], together: bool | None
) -> None:
    async with user_context() as user:
        rooms = Memberships(user)
        names = [f"room-{number}" for number in range(len(said))]
        for name in names:
            rooms.request(name, websocket=False)
            rooms.confirm(Joined(name, None, None), 1_000)
        rooms.lose(2_000)
        for name, recovered in zip(names, said, strict=True):
            rooms.confirm(Joined(name, AT_7, recovered), 3_000)
        assert rooms.recovered is together
        assert all(member.lost is None for member in rooms)


async def test_a_gap_needs_both_of_its_ends() -> None:
    async with user_context() as user:
        rooms = Memberships(user)
        member = rooms.request("lobby", websocket=True)
        rooms.declare_gap(Gap("lobby", None, AT_7, None))
        assert not member.gaps
        rooms.declare_gap(Gap("lobby", AT_7, Position("abcd", 9), 2))
        assert member.gaps is not None
        assert len(member.gaps) == 1
