"""A process that publishes to a SQLite log as fast as it can, says what happens, and waits to be killed.

Arguments: the store's URL, the name of this run, and the keys to publish first. Lines on stdout, each
written at once: `sent KEY`, `ack KEY POSITION`, `got KEY POSITION`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from itertools import count

from rtcli.protocol.publication import Publication
from rtcli_server.broker import Retention, open_broker
from rtcli_server.broker.opening import now_ms

ROOM = "user:general"
KEEP_ALL = Retention(max_count=10**9, max_age_s=10**6, max_channel_bytes=10**12, max_total_bytes=10**12)
IN_FLIGHT = 50


def say(*words: object) -> None:
    """Write one line, past every buffer that a kill would empty."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def keys(run: str, first: list[str]) -> Iterator[str]:
    """The keys to publish: those given, then new ones without end."""
    yield from first
    for number in count():
        yield f'{{"k":"{run}.{number}"}}'


def report(publication: Publication) -> None:
    """Say what was delivered."""
    say("got", publication.data.decode(), publication.position)


async def main() -> None:
    """Publish until killed."""
    store, run, *unknown = sys.argv[1:]
    broker = open_broker(store, KEEP_ALL)
    running = asyncio.create_task(broker.run(report))
    await asyncio.sleep(0)
    broker.subscribe(ROOM)
    source = keys(run, unknown)

    async def publisher() -> None:
        for key in source:
            say("sent", key)
            published = await broker.publish(ROOM, "e", key.encode(), key=key, time_ms=now_ms())
            say("ack", key, published.position)

    await asyncio.gather(running, *[publisher() for _ in range(IN_FLIGHT)])


if __name__ == "__main__":
    asyncio.run(main())
