from __future__ import annotations

from rtcli_server.session.memberships import Memberships

NFC, NFD = "é", "e\u0301"


def test_a_room_is_found_by_its_name_and_by_the_spelling_of_the_latest_join() -> None:
    rooms = Memberships()
    rooms.add(NFC, NFD, may_publish=True)
    assert (rooms.rooms, rooms.writable) == ({NFC}, {NFC: NFC, NFD: NFC})
    assert rooms.spelling_of(NFC) == NFD
    rooms.add(NFC, NFC, may_publish=True)
    assert (rooms.rooms, rooms.writable) == ({NFC}, {NFC: NFC})
    assert rooms.spelling_of(NFC) == NFC


def test_ever_other_spellings_cost_no_memory() -> None:
    rooms, name = Memberships(), "é" * 10
    for number in range(1_024):
        spelling = "".join(NFD if number >> index & 1 else NFC for index in range(10))
        rooms.add(name, spelling, may_publish=True)
        assert rooms.writable.keys() == {name, spelling}
    rooms.remove(name)
    assert (rooms.rooms, rooms.writable) == (set(), {})
    rooms.remove(name)


def test_without_the_right_to_publish_nothing_is_writable() -> None:
    rooms = Memberships()
    rooms.add(NFC, NFD, may_publish=False)
    assert (rooms.rooms, rooms.writable) == ({NFC}, {})
    rooms.restrict(lambda _: True)
    assert rooms.writable == {NFC: NFC, NFD: NFC}
    writable = rooms.writable
    rooms.restrict(lambda _: False)
    assert rooms.writable == {}
    assert rooms.writable is writable, "who looks rooms up keeps it"
