"""Clients that ask again and again, and read none of the answers: on each WebSocket transport."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from rtcli.protocol.tokens import create_token
from tests.support.attacks.figures import MIB, Bounds
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import KIB, Kind, StartTarget, Target, address
from tests.support.attacks.unread import FULL, fill, until_all_waits
from tests.support.clients.peers import WsPeer, connect
from tests.support.clients.raw_http import PING, TEXT, encode
from tests.support.servers.server_process import SECRET
from tests.support.waiting import all_at_once

COUNT = 50
MEMBERS = 200  # as many as a list has
BOUNDS = Bounds(peak_bytes_each=MIB, after_bytes=24 * MIB)  # 2 MiB are allowed; the log has what they said


def command(type_: str, id_: str | None = None, **data: object) -> bytes:
    """One message of the protocol as a frame."""
    message: dict[str, Any] = {"type": type_, "data": data} | ({} if id_ is None else {"id": id_})
    return encode(TEXT, json.dumps(message, ensure_ascii=False).encode())


def replays(number: int, epoch: str) -> bytes:
    """Ask for all of a full room again and again: half of the attackers join, half resume."""
    if number % 2:
        return command("join_room", room="full", history=FULL) * 200
    return command("join_room", room="full", since=f"{epoch}-{FULL - 300}") * 200


def members(number: int, epoch: str) -> bytes:
    """Join a room of 200 members with long names again and again."""
    del number, epoch
    return command("join_room", room="crowd") * 50


def small_replies(number: int, epoch: str) -> bytes:
    """Errors and pongs that are as long as they can be, and pongs of RFC 6455."""
    del number, epoch
    wide = "\U0001f40c" * 64  # 256 bytes
    pair = command("\u0001" * 64, wide) + command("ping", wide)
    return encode(PING, b"p" * 125) * 500 + pair * 250


def tiny_messages(number: int, epoch: str) -> bytes:
    """Join a full room, so that everything after it waits, and send as many messages as fit."""
    del number, epoch
    return command("join_room", room="full", history=FULL) + encode(TEXT, b'{"type":"ping"}') * 20_000


def own_messages(number: int, epoch: str) -> bytes:
    """Say long things in a room of one's own, with acknowledgements."""
    del epoch
    room = f"own-{number}"
    said = b"".join(command("chat_message", f"{n}", room=room, content="x" * 8_000) for n in range(25))
    return command("join_room", room=room) + said


ATTACKS: dict[str, Callable[[int, str], bytes]] = {
    "replays": replays,
    "lists of members": members,
    "errors and pongs": small_replies,
    "tiny messages": tiny_messages,
    "their own messages": own_messages,
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_replies_that_nobody_reads(
    start_target: StartTarget, measure: Measure, kind: Kind, name: str
) -> None:
    target = await start_target(kind, slow_deadline_s=120, presence_grace_s=600, history_size=FULL)
    epoch = await fill(target, ["full"]) if name in {"replays", "tiny messages"} else ""
    if name == "lists of members":
        await all_at_once(_join_crowd(target, number) for number in range(MEMBERS))
    async with measure(target, f"unread: {name}", connections=COUNT, bounds=BOUNDS) as attack:
        for number in range(COUNT):
            peer = await attack.connect_deaf(WsPeer(f"u{number}"))
            await asyncio.wait_for(peer.ready, 30)
            peer.transport.pause_reading()
            peer.transport.write(ATTACKS[name](number, epoch))
        waiting = await until_all_waits(target)
        assert COUNT * 32 * KIB < waiting < COUNT * 512 * KIB


async def _join_crowd(target: Target, number: int) -> None:
    """Become a member with a long name, and stay one for the grace period."""
    bearer = create_token(SECRET, sub=f"m{number}" + "x" * 100, name="語" * 60, now=time.time(), ttl_s=600.0)
    # An address has 100 places, and who has left keeps its own until the server notices.
    peer = await connect(target.port, WsPeer("", ["crowd"], bearer=bearer), source=address(number))
    await asyncio.wait_for(peer.ready, 30)
    peer.transport.close()
