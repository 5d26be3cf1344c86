"""Three primaries of a Redis Cluster on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.redis.server import START_DEADLINE_S, RedisServer

SLOTS = 16_384


class RedisCluster:
    """Starts its nodes and gives each a third of the slots."""

    def __init__(self, directory: Path, nodes: int = 3) -> None:
        self.nodes: list[RedisServer] = []
        self._buses: list[int] = []
        for number in range(nodes):
            place = directory / str(number)
            place.mkdir()
            self._buses.append(free_port())
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
            self.nodes.append(RedisServer(place, options=(*options, str(self._buses[-1]))))

    @property
    def url(self) -> str:
        """For `open_broker`: it is enough to name some nodes."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def start(self) -> None:
        """Start all nodes, make them one cluster, and wait until it works."""
        for node in self.nodes:
            node.start()
        share = SLOTS // len(self.nodes) + 1
        for number, node in enumerate(self.nodes):
            last = min(SLOTS, (number + 1) * share) - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
            node.command("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), str(self._buses[0]))
        deadline = time.monotonic() + START_DEADLINE_S
        while not all(self._agrees(node) for node in self.nodes):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.05)

    def _agrees(self, node: RedisServer) -> bool:
        with node.admin as admin:
            info = admin.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.nodes)

    def flush(self) -> None:
        """Empty it."""
        for node in self.nodes:
            node.command("FLUSHALL")

    def move_slot(self, slot: int) -> None:
        """Give a slot, with its keys, to the node after the one that has it."""
        ids = [str(node.command("CLUSTER", "MYID")) for node in self.nodes]
        old = next(n for n, node in enumerate(self.nodes) if self._has(node, slot, ids))
        new = (old + 1) % len(self.nodes)
        self.nodes[new].command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[old])
        self.nodes[old].command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[new])
        with self.nodes[old].admin as admin:
            while keys := admin.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                admin.execute_command(
                    "MIGRATE", "127.0.0.1", self.nodes[new].port, "", 0, 5000, "KEYS", *keys
                )
        for number in (new, old):
            self.nodes[number].command("CLUSTER", "SETSLOT", str(slot), "NODE", ids[new])

    def _has(self, node: RedisServer, slot: int, ids: list[str]) -> bool:
        with node.admin as admin:
            for first, last, primary, *_ in admin.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return str(primary[2]) == ids[self.nodes.index(node)]
        return False

    def kill(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.kill()


@pytest.fixture(scope="session")
def cluster_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One cluster for all tests that do not harm it."""
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
