"""Reading in pieces: as much as one piece holds, from the right place, without reading the rest."""

from __future__ import annotations

import pytest

from rtcli.protocol.position import Position
from rtcli_server.broker import HistoryPage
from rtcli_server.broker.paging import PAGE, first_piece, read_first
from tests.support.fakes.fanout import at, publication

SIZE = len(publication(100).data)


class Log:
    """A log that has the publications `kept` of those up to `top`, and counts what it gives."""

    def __init__(self, top: int, *, trimmed: int = 0) -> None:
        self.kept = [publication(offset) for offset in range(trimmed + 1, top + 1)]
        self.top = top
        self.limits: list[int] = []

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        assert channel == "room:a"
        self.limits.append(limit)
        if since is None:
            found = self.kept[-limit:] if limit else []
        else:
            found = [item for item in self.kept if item.offset > since.offset][:limit]
        return HistoryPage(found, at(self.top))

    async def first(self, since: int | None, limit: int, piece_bytes: int = 1_000_000) -> list[int]:
        position = None if since is None else at(since)
        page = await read_first(self.history, "room:a", since=position, limit=limit, piece_bytes=piece_bytes)
        assert page.top == at(self.top)
        return [item.offset for item in page.publications]


@pytest.mark.parametrize(("piece_bytes", "count"), [(0, 1), (SIZE - 1, 1), (2 * SIZE, 2), (100 * SIZE, 10)])
def test_a_piece_has_at_least_one_publication(piece_bytes: int, count: int) -> None:
    publications = [publication(offset) for offset in range(100, 110)]
    assert first_piece(publications, piece_bytes) == publications[:count]


def test_nothing_is_no_piece() -> None:
    assert first_piece([], 100) == []


async def test_after_a_position_it_reads_one_page() -> None:
    log = Log(top=400)
    assert await log.first(since=50, limit=300) == list(range(51, 51 + PAGE))
    assert await log.first(since=390, limit=300) == list(range(391, 401))
    assert log.limits == [PAGE, PAGE]


async def test_the_newest_begin_at_the_first_of_them() -> None:
    log = Log(top=400)
    assert await log.first(since=None, limit=30) == list(range(371, 401))
    assert await log.first(since=None, limit=250) == list(range(151, 151 + PAGE))
    assert max(log.limits) == PAGE


@pytest.mark.parametrize(("trimmed", "limit"), [(380, 250), (320, 250), (0, 500)])
async def test_fewer_than_asked_for_are_all_there_are(trimmed: int, limit: int) -> None:
    found = await Log(top=400, trimmed=trimmed).first(since=None, limit=limit)
    assert found == list(range(trimmed + 1, min(trimmed + PAGE, 400) + 1))


async def test_without_room_it_reads_one_publication() -> None:
    log = Log(top=400)
    assert await log.first(since=50, limit=300, piece_bytes=-5) == [51]
    assert log.limits == [1]
    assert await log.first(since=None, limit=0) == []
