"""Servers without acknowledgements: what nobody has received is not called delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from websockets.asyncio.server import ServerConnection

from rtcli.errors import Exit
from rtcli.load.reporters.headline import sentence
from rtcli.load.results.accounts import Accounts
from rtcli.load.results.model import RunResult
from tests.support.fakes.json_lobby import Frame, Lobby, open_lobby, url_of
from tests.support.load.runs import run

TEXT = """
    name: doubts
    seed: 3
    target:
      protocol: json
      frames:
        join: { do: enter, room: "${room}" }
        joined: { match: { event: entered }, room: room }
        send: { do: say, room: "${room}", text: "${text}" }
        data: { match: { event: said }, room: room, text: text }
    phases:
      - { name: run, for: 2s }
      - { name: storm, for: 400ms, publish: stop, cut: { roles: [reader, writer], how: rst } }
    audit: { settle: 300ms, self_echo: false }
    roles:
      reader: { users: 4, reconnect: never, flow: [connect, { join: lobby }, TOGETHER, hold] }
      writer:
        users: 1
        reconnect: RECONNECT
        flow: [connect, { join: lobby }, TOGETHER, { send: { room: lobby, rate: 20/s } }]
""".replace("TOGETHER", "{ wait: { barrier: together, users: 5 } }")


@asynccontextmanager
async def deaf_server(*, hears: int | None, closes_at: int = 0) -> AsyncIterator[str]:
    """Acknowledges nothing, delivers the first `hears` messages, hangs up on the sender of `closes_at`."""
    numbers = count(1)

    async def answer(lobby: Lobby, sender: ServerConnection, frame: Frame) -> None:
        said = next(numbers)
        if said == closes_at:
            sender.transport.abort()
        elif hears is None or said <= hears:
            await lobby.deliver(frame, but=sender)

    async with open_lobby(Lobby(answer)) as server:
        yield url_of(server)


def accounts_of(result: RunResult) -> Accounts:
    assert result.accounts is not None
    return result.accounts


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_message_that_nobody_has_seen_and_nobody_is_sure_of_is_not_green(workers: int) -> None:
    """All readers are cut off before they could be missing it for sure; the writer's connection stays."""
    text = TEXT.replace("roles: [reader, writer]", "roles: [reader]").replace("RECONNECT", "never")
    async with deaf_server(hears=10) as url:
        result = await run(text, url, workers=workers)
    found = accounts_of(result)
    assert found.deliveries.delivered == found.deliveries.planned == 40
    assert found.sends.unknown == found.sends.due - 10 > 0
    # Four for each, but for those who were cut off before it was sent: workers cut one after the other.
    assert found.sends.unknown <= found.deliveries.indeterminate <= 4 * found.sends.unknown
    assert workers > 1 or found.deliveries.indeterminate == 4 * found.sends.unknown
    assert result.exit_code == Exit.INCONCLUSIVE
    assert f"whether {found.sends.unknown} of {found.sends.due} messages were accepted" in sentence(result)


async def test_what_the_scenario_cuts_off_with_its_sender_is_excused() -> None:
    async with deaf_server(hears=10) as url:
        result = await run(TEXT.replace("RECONNECT", "never"), url)
    found = accounts_of(result)
    assert found.sends.excused == found.sends.due - 10 > 0
    assert found.sends.unknown == 0
    assert result.exit_code == Exit.OK, result.reasons
    unknown = found.deliveries.indeterminate
    assert sentence(result) == (
        "everybody was there, and all that can be told arrived, once and in order; "
        f"{unknown} deliveries cannot be told."
    )


async def test_what_a_server_swallows_while_it_hangs_up_is_unanswered() -> None:
    """The readers stay: the message may have been lost on its way, but nobody asked for that."""
    text = TEXT.replace("RECONNECT", "20ms").replace(", cut: { roles: [reader, writer], how: rst }", "")
    text = text.replace("rate: 20/s", "rate: 4/s")  # so that its sender is back before the next
    async with deaf_server(hears=None, closes_at=5) as url:
        result = await run(text, url, workers=2)
    found = accounts_of(result)
    (missing,) = found.sends.shortfalls
    assert (missing.outcome, missing.code, missing.who) == ("unanswered", "close_1006", ("writer 1",))
    assert found.sends.accepted == found.sends.due - missing.count
    assert result.exit_code == Exit.AUDIT


async def test_a_sound_server_without_acknowledgements_is_green() -> None:
    text = TEXT.replace("RECONNECT", "never")
    async with deaf_server(hears=None) as url:
        result = await run(text, url)
    assert result.exit_code == Exit.OK, result.reasons
    assert "all that can be told" not in sentence(result)
