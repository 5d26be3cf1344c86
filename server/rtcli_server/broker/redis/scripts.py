"""The scripts that run inside Redis, with this log's budgets written into them, and how they are called."""

from __future__ import annotations

import hashlib
import random
import secrets
from pathlib import Path

from rtcli.protocol.position import Position
from rtcli_server.broker.base import Retention
from rtcli_server.broker.redis.link import pack

_HERE = Path(__file__).parent


class Scripts:
    """Builds the calls of publish.lua and history.lua. `meta_ttl_ms` must outlive what refreshes it."""

    def __init__(self, retention: Retention, *, meta_ttl_ms: int) -> None:
        settings = {
            "ttl_ms": retention.max_age_ms,
            "meta_ttl_ms": meta_ttl_ms,
            "max_count": retention.max_count,
            "max_bytes": retention.max_channel_bytes,
            "key_ttl_ms": retention.idempotency_ms,
        }
        head = "".join(f"local {name} = {value}\n" for name, value in settings.items())
        head += (_HERE / "channel.lua").read_text()
        self.texts = [head + (_HERE / name).read_text() for name in ("publish.lua", "history.lua")]
        self._publish_sha, self._history_sha = [
            hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode() for text in self.texts
        ]
        # Seeded once: a system call for each offered epoch would cost as much as the rest of a publish.
        self._epochs = random.Random(secrets.randbits(128))  # noqa: S311 - unique, not secret

    def _opening(self, known: Position | None) -> tuple[bytes, bytes, bytes]:
        """Build the arguments of `open_channel`: an epoch to offer, and what this instance has seen."""
        new_epoch = b"%010x" % self._epochs.getrandbits(40)
        if known is None:
            return new_epoch, b"", b""
        return new_epoch, known.epoch.encode(), b"%d" % known.offset

    def publish(
        self,
        keys: list[bytes],
        pubsub_channel: bytes,
        known: Position | None,
        *,
        event: str,
        data: bytes,
        time_ms: int,
    ) -> bytes:
        """Pack a call of publish.lua; `keys` are those of `Names.keys`."""
        arguments = (*self._opening(known), event.encode(), data, b"%d" % time_ms, pubsub_channel)
        return pack([b"EVALSHA", self._publish_sha, b"%d" % len(keys), *keys, *arguments])

    def history(self, keys: list[bytes], known: Position | None, since: Position | None, limit: int) -> bytes:
        """Pack a call of history.lua."""
        after = (since.epoch.encode(), b"%d" % since.offset) if since else (b"", b"0")
        arguments = (*self._opening(known), b"%d" % limit, *after)
        return pack([b"EVALSHA", self._history_sha, b"%d" % len(keys), *keys, *arguments])
