"""One of two servers loses the way to Redis: python -m tests.support.faults.cut_off HOME [--soak].

To be run by `unshare --net`, so that nothing of the machine is touched, and nothing is left whatever happens.
In this network are Redis, the first server and all clients; the second server is in a network inside of it,
with one cable for its clients and one for Redis. The latter is pulled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.faults.fleet import HOSTS, Fleet, fleet, instance, nobody_noticed, own_redis, store
from tests.support.processes.lifetime import DIES_WITH_US
from tests.support.servers.server_process import LOOPBACK
from tests.support.servers.watch import metric

# RFC 5737, section 3: documentation only. Each is one end of a cable.
CLIENTS_HERE, SERVER_THERE = "192.0.2.1", "192.0.2.2"
REDIS_HERE, REDIS_THERE = "198.51.100.1", "198.51.100.2"


def run(command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command.split(), check=True)


def lay(number: int, pid: int, here: str, there: str) -> None:
    """Lay a cable into the network of process `pid`."""
    inside = f"nsenter --net --target {pid}"
    run(f"ip link add cable{number} type veth peer name end{number} netns {pid}")
    run(f"ip addr add {here}/30 dev cable{number}")
    run(f"ip link set cable{number} up")
    run(f"{inside} ip addr add {there}/30 dev end{number}")
    run(f"{inside} ip link set end{number} up")


@contextlib.contextmanager
def inner_network() -> Iterator[Sequence[str]]:
    """Make the second server's network; gives what to put before a command to run it there."""
    run("ip link set lo up")
    holder = subprocess.Popen([*DIES_WITH_US, "unshare", "--net", "sleep", "infinity"])
    try:
        while Path(f"/proc/{holder.pid}/comm").read_text() != "sleep\n":  # it is still to go there
            time.sleep(0.01)
        lay(0, holder.pid, CLIENTS_HERE, SERVER_THERE)
        lay(1, holder.pid, REDIS_HERE, REDIS_THERE)
        yield ("nsenter", "--net", "--target", str(holder.pid))
    finally:
        holder.kill()
        holder.wait()


async def pull(two: Fleet, seconds: float) -> None:
    """Pull the cable between the second server and Redis for a while."""
    connected, cut_off = two.servers
    run("ip link set cable1 down")
    await two.until_ready(cut_off, ready=False)
    before = await metric(cut_off, "rtcli_publications_total", outcome="published")
    await asyncio.sleep(seconds)
    await two.until_ready(connected)
    assert await metric(cut_off, "rtcli_publications_total", outcome="published") == before
    run("ip link set cable1 up")
    await two.until_ready()
    await two.crowd.more()


async def main(home: Path, *, soak: bool) -> None:
    """Run the deployment, pull the cable, and check."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Keepalive: a connection whose end was said into the pulled cable is to be noticed soon.
    options = ("--bind", LOOPBACK, REDIS_HERE, "--protected-mode", "no", "--tcp-keepalive", "5")
    with inner_network() as inside, own_redis(home, *options) as redis:
        servers = [
            instance(home, HOSTS[0], store(redis.port)),
            instance(home, SERVER_THERE, store(redis.port, REDIS_HERE), prefix=inside),
        ]
        async with fleet(servers, redis, soak=soak) as two, two.watched():
            await two.crowd.start()
            for seconds in (5, 30) if soak else (2,):
                await pull(two, seconds)
            verdict = await two.finish("one of two servers cut off from Redis")
            assert verdict.declared_lost == 0
            assert two.crowd.refusals > 0
            nobody_noticed(two)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), soak="--soak" in sys.argv))
