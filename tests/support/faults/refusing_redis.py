"""A real Redis that refuses every write, for each of the causes that operators meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.support.ports import free_port
from tests.support.redis.server import RedisServer
from tests.support.waiting import wait_until

# Makes a Redis refuse what this user writes, while the context is open.
Refusing: TypeAlias = Callable[[RedisServer, str], AbstractContextManager[None]]


def set_to(name: str, value: str) -> Refusing:
    """Something is configured so that it cannot write."""

    @contextmanager
    def refusing(redis: RedisServer, _user: str) -> Iterator[None]:
        before = redis.setting(name)
        redis.command("CONFIG", "SET", name, value)
        yield
        redis.command("CONFIG", "SET", name, before)

    return refusing


@contextmanager
def without_snapshots(redis: RedisServer, _user: str) -> Iterator[None]:
    """It is to save snapshots, and cannot: there is a directory where the file has to go."""
    in_the_way = Path(redis.setting("dir")) / redis.setting("dbfilename")
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()
    redis.command("CONFIG", "SET", "save", "3600 1")
    _save(redis, "err")
    yield
    in_the_way.rmdir()
    _save(redis, "ok")
    redis.command("CONFIG", "SET", "save", "")


def _save(redis: RedisServer, outcome: str) -> None:
    redis.command("BGSAVE")

    def done() -> bool:
        with redis.admin as admin:
            state = admin.info("persistence")
        return not state["rdb_bgsave_in_progress"] and state["rdb_last_bgsave_status"] == outcome

    wait_until(done, f"a snapshot: {outcome}")


@contextmanager
def as_a_replica(redis: RedisServer, _user: str) -> Iterator[None]:
    """It was made a replica of another one, which is not there."""
    redis.command("REPLICAOF", "127.0.0.1", str(free_port()))
    yield
    redis.command("REPLICAOF", "NO", "ONE")


@contextmanager
def without_rights(redis: RedisServer, user: str) -> Iterator[None]:
    """The user lost the right to append to streams."""
    redis.command("ACL", "SETUSER", user, "-xadd")
    yield
    redis.command("ACL", "SETUSER", user, "+xadd")


# By the code with which Redis answers.
REFUSALS: dict[str, Refusing] = {
    "OOM": set_to("maxmemory", "1"),
    "MISCONF": without_snapshots,
    "READONLY": as_a_replica,
    "NOREPLICAS": set_to("min-replicas-to-write", "9"),  # it has none
    "NOPERM": without_rights,
}
# A node of a cluster that was made a replica answers MOVED; nothing else there is read-only.
REFUSALS_IN_CLUSTER = {code: refusing for code, refusing in REFUSALS.items() if code != "READONLY"}
