"""A Redis that has lost writes which it had confirmed."""

from __future__ import annotations

from tests.support.redis.server import RedisServer


def lose_last(redis: RedisServer, channel: str) -> None:
    """Forget the last publication of a channel, as after a failover to a replica that did not have it."""
    meta, stream = f"rt:{{{channel}}}:m", f"rt:{{{channel}}}:s"
    with redis.admin as admin:
        top = int(admin.hget(meta, "top") or 0)
        admin.xdel(stream, f"{top}-0")
        admin.execute_command("XSETID", stream, f"{top - 1}-0")
        admin.hset(meta, "top", str(top - 1))


def lose_all(redis: RedisServer) -> None:
    """Forget everything, as after a restart without persistence."""
    redis.command("FLUSHALL")
