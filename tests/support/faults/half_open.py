"""A peer whose network is gone without a word: python -m tests.support.faults.half_open HOME.

To be run by `unshare --net`, so that nothing of the machine is touched. The clients' address is taken away
under their open connections: no FIN and no RST ever reaches the server, and what it sends is never
acknowledged.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.support.clients.peers import P, StreamPeer, WsPeer, connect
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import until_metric, watched

ADDRESS = "192.0.2.2"  # RFC 5737, section 3: documentation only
DEAD_WITHIN_S = 30.0


def ip(*arguments: str) -> None:
    """Run `ip` in this network."""
    subprocess.run(["ip", *arguments], check=True)


async def connect_from(port: int, peer: P) -> P:
    """Connect from the address that will be gone."""
    await connect(port, peer, source=ADDRESS)
    await asyncio.wait_for(asyncio.shield(peer.ready), 30)
    return peer


async def main(home: Path) -> None:
    """Lose the clients' network, and wait until the server has noticed."""
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{ADDRESS}/32", "dev", "lo")
    server = ServerProcess(home, "memory:")
    try:
        await server.start()
        async with watched(server):
            peers = [
                await connect_from(server.port, WsPeer("one", ["room"])),
                await connect_from(server.port, WsPeer("two", ["room"], path="/api/v1/ws/v2")),
                await connect_from(server.port, StreamPeer("three", ["room"])),
            ]
            await until_metric(server, "rtcli_connections", 3)
            ip("addr", "del", f"{ADDRESS}/32", "dev", "lo")
            await until_metric(server, "rtcli_connections", 0, timeout_s=DEAD_WITHIN_S)
            if any(peer.lost.done() for peer in peers):
                raise AssertionError("the server reached its peer: the connection was not half-open")
            for peer in peers:
                peer.transport.abort()
    finally:
        server.kill()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
