"""Three primaries of a Redis Cluster on this machine, and a replica of one of them if need be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.redis.server import RedisServer
from tests.support.waiting import wait_until

SLOTS = 16_384
NODE_TIMEOUT_MS = 2_000
ELECTION_EVERY_S = 2.5 * NODE_TIMEOUT_MS / 1000  # no node votes on the same slots before


class RedisCluster:
    """Starts its nodes and gives each primary its share of the slots.

    With `replicated_slot`, one more node is a replica of the primary that has that slot.
    """

    def __init__(self, directory: Path, primaries: int = 3, *, replicated_slot: int | None = None) -> None:
        self.nodes: list[RedisServer] = []
        self._buses: list[int] = []
        self._share = SLOTS // primaries + 1
        self._primaries = primaries
        self._replicated_slot = replicated_slot
        for number in range(primaries + (replicated_slot is not None)):
            place = directory / str(number)
            place.mkdir()
            self._buses.append(free_port())
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS))
            own = ("--repl-diskless-sync-delay", "0", "--cluster-port", str(self._buses[-1]))
            self.nodes.append(RedisServer(place, options=(*options, *own)))

    @property
    def url(self) -> str:
        """For `open_broker`: it is enough to name some nodes."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}"

    def start(self) -> None:
        """Start all nodes, make them one cluster, and wait until it works."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            if number < self._primaries:
                first, last = number * self._share, min(SLOTS, (number + 1) * self._share) - 1
                node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            node.command("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), str(self._buses[0]))
        wait_until(lambda: all(self._agrees(node) for node in self.nodes), "the cluster comes together")
        if self._replicated_slot is not None:
            primary, replica = self._pair()
            replica.command("CLUSTER", "REPLICATE", str(primary.command("CLUSTER", "MYID")))
            wait_until(lambda: _follows(replica), "the replica has what its primary has")

    def _pair(self) -> tuple[RedisServer, RedisServer]:
        """The first primary and the first replica of the replicated slot; they may have swapped since."""
        assert self._replicated_slot is not None
        return self.nodes[self._replicated_slot // self._share], self.nodes[-1]

    def demote_primary(self) -> None:
        """Make the primary of the replicated slot a replica, and its replica the primary."""
        primary, replica = sorted(self._pair(), key=_is_replica)
        replica.command("CLUSTER", "FAILOVER")
        wait_until(lambda: _is_replica(primary) and _follows(primary), "the primary is a replica")

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


def _is_replica(node: RedisServer) -> bool:
    with node.admin as admin:
        return bool(admin.info("replication")["role"] == "slave")


def _follows(replica: RedisServer) -> bool:
    with replica.admin as admin:
        return bool(admin.info("replication").get("master_link_status") == "up")


@pytest.fixture(scope="session")
def cluster_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One cluster for all tests that do not harm it."""
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
