"""What every log promises about revocations: they are kept, merged, and gone when they are over."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.auth.revocations import Revocation, RevocationKind
from rtcli_server.broker import BrokerUnavailableError, opening
from rtcli_server.broker.opening import now_ms
from tests.support.brokers.running import running

TOKEN, USER, AWAY = RevocationKind.TOKEN, RevocationKind.USER, RevocationKind.AWAY
HOUR_MS = 3_600_000
NAMES = ("a", "7", "x" * 128, "Größe: {7} %x 💥", "until", "token:7", '"; DROP TABLE revocations')


def by_subject(found: list[Revocation]) -> dict[tuple[RevocationKind, str], Revocation]:
    keyed = {one.about: one for one in found}
    assert len(keyed) == len(found)
    return keyed


async def test_an_empty_log_has_none(store_url: str) -> None:
    async with running(store_url) as log:
        assert await log.broker.revocations() == []


async def test_what_was_kept_is_read_back(store_url: str) -> None:
    until_ms = now_ms() + HOUR_MS
    kept = [
        Revocation(kind, name, until_ms + number)
        for kind in (TOKEN, AWAY)
        for number, name in enumerate(NAMES)
    ]
    kept += [Revocation(TOKEN, name, until_ms) for name in ("x" * 256, " ")]
    kept += [Revocation(USER, name, until_ms, before_ms=number) for number, name in enumerate(NAMES)]
    async with running(store_url) as log:
        await asyncio.gather(*map(log.broker.revoke, kept))
        assert by_subject(await log.broker.revocations()) == by_subject(kept)
        await log.publish()  # the log goes on beside it
        assert (await log.publish()).position.offset == 2


async def test_two_about_the_same_are_merged(store_url: str) -> None:
    now = now_ms()
    async with running(store_url) as log:
        for until_ms, before_ms in ((now + 2 * HOUR_MS, 5), (now + HOUR_MS, 9), (now + HOUR_MS, 7)):
            await log.broker.revoke(Revocation(USER, "7", until_ms, before_ms=before_ms))
        assert await log.broker.revocations() == [Revocation(USER, "7", now + 2 * HOUR_MS, before_ms=9)]


async def test_one_that_is_over_is_not_read(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = now_ms()
    times = [now]
    monkeypatch.setattr(opening, "now_ms", lambda: times[-1])
    async with running(store_url) as log:
        await log.broker.revoke(Revocation(TOKEN, "long", now + HOUR_MS))
        await log.broker.revoke(Revocation(TOKEN, "short", now + 300))
        assert [one.subject for one in await log.broker.revocations()] == ["long", "short"]
        times.append(now + 300)
        assert [one.subject for one in await log.broker.revocations()] == ["long"]


async def test_many_at_once(store_url: str) -> None:
    until_ms = now_ms() + HOUR_MS
    kept = [Revocation(TOKEN, f"token-{number}", until_ms) for number in range(1_200)]
    async with running(store_url) as log:
        for start in range(0, len(kept), 500):
            await asyncio.gather(*map(log.broker.revoke, kept[start : start + 500]))
        assert by_subject(await log.broker.revocations()) == by_subject(kept)


async def test_it_outlives_the_process_as_the_log_does(store_url: str) -> None:
    kept = Revocation(USER, "7", now_ms() + HOUR_MS, before_ms=now_ms())
    async with running(store_url) as log:
        before = await log.publish()
        await log.broker.revoke(kept)
    async with running(store_url) as log:
        assert await log.broker.revocations() == ([] if store_url == "memory:" else [kept])
        if store_url != "memory:":
            assert (await log.publish()).position.epoch == before.position.epoch, "the log is whole"


async def test_a_closed_log_refuses(store_url: str) -> None:
    async with running(store_url) as log:
        await log.publish()
        await log.broker.close()
        with pytest.raises(BrokerUnavailableError):
            await log.broker.revoke(Revocation(TOKEN, "a", now_ms() + HOUR_MS))
        with pytest.raises(BrokerUnavailableError):
            await log.broker.revocations()
