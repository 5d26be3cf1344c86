"""The scripts that run inside Redis, and how they are called. Redis knows them by their SHA-1."""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from rtcli.protocol.exclusion import MAX_EXCLUSION_BYTES, Exclusion, encode_exclusion
from rtcli.protocol.position import Position
from rtcli_server.broker.base import Retention
from rtcli_server.broker.redis.link import pack
from rtcli_server.broker.redis.wire import Route
from rtcli_server.broker.validation import MAX_DATA_BYTES

MAX_ENTRY_BYTES = (
    MAX_DATA_BYTES + MAX_EXCLUSION_BYTES + 1_024
)  # of a publication in a stream, with its names and numbers

_HERE = Path(__file__).parent


def _read(name: str) -> str:
    return (_HERE / f"{name}.lua").read_text()


def _digests(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {
        name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()
        for name, text in texts.items()
    }


def _with_limits(name: str, retention: Retention, meta_ttl_ms: int) -> str:
    settings = {
        "ttl_ms": retention.max_age_ms,
        "meta_ttl_ms": meta_ttl_ms,
        "max_count": retention.max_count,
        "max_bytes": retention.max_channel_bytes,
        "max_entry_bytes": MAX_ENTRY_BYTES,
        "key_ttl_ms": retention.idempotency_ms,
    }
    head = "".join(f"local {name} = {value}\n" for name, value in settings.items())
    return head + _read("channel") + _read(name)


# So little that every probe also trims, and that nothing is left a minute after the last one.
_OF_PROBES = Retention(max_count=10, max_age_s=60.0, max_channel_bytes=1_000, idempotency_s=0.001)


class LogScripts:
    """publish.lua and history.lua, with a log's limits written into them.

    `meta_ttl_ms` must be longer than the time between two reads or writes of a channel that is in use.
    """

    def __init__(self, retention: Retention, *, meta_ttl_ms: int) -> None:
        texts = {
            "publish": _with_limits("publish", retention, meta_ttl_ms),
            "history": _with_limits("history", retention, meta_ttl_ms),
            "probe": _with_limits("publish", _OF_PROBES, _OF_PROBES.max_age_ms),
        }
        digests = _digests(texts)
        self.texts = list(texts.values())
        self._publish_digest, self._history_digest = digests["publish"], digests["history"]
        self._probe_digest = digests["probe"]
        # Seeded once: a system call for each epoch offered would cost as much as the rest of a publish.
        self._epochs = random.Random(secrets.randbits(128))  # noqa: S311 - unique, not secret

    def _opening(self, seen: Sequence[Position]) -> tuple[bytes, bytes, bytes]:
        """Build the arguments of `open_channel`: an epoch to offer, and what this instance has seen."""
        new_epoch = b"%010x" % self._epochs.getrandbits(40)
        if not seen:
            return new_epoch, b"", b""
        if len(seen) == 1:  # as nearly always
            return new_epoch, seen[0].epoch.encode(), b"%d" % seen[0].offset
        epochs, offsets = (" ".join(map(str, column)) for column in zip(*seen, strict=True))
        return new_epoch, epochs.encode(), offsets.encode()

    def publish(
        self,
        keys: list[bytes],
        route: Route,
        seen: Sequence[Position],
        *,
        event: str,
        data: bytes,
        time_ms: int,
        exclude: Exclusion | None,
    ) -> bytes:
        """Pack a call of publish.lua; `keys` are those of `Names.keys`."""
        excluded = () if exclude is None else (encode_exclusion(exclude),)
        arguments = (*self._opening(seen), event.encode(), data, b"%d" % time_ms, *route, *excluded)
        return pack([b"EVALSHA", self._publish_digest, b"%d" % len(keys), *keys, *arguments])

    def probe(self, keys: list[bytes], pubsub_channel: bytes, *, data: bytes, time_ms: int) -> bytes:
        """Pack a call of publish.lua that keeps next to nothing: all that a publish does is tried."""
        arguments = (*self._opening(()), b"probe", data, b"%d" % time_ms, pubsub_channel, b"")
        return pack([b"EVALSHA", self._probe_digest, b"%d" % len(keys), *keys, *arguments])

    def history(
        self, keys: list[bytes], seen: Sequence[Position], since: Position | None, limit: int
    ) -> bytes:
        """Pack a call of history.lua."""
        after = (since.epoch.encode(), b"%d" % since.offset) if since else (b"", b"0")
        arguments = (*self._opening(seen), b"%d" % limit, *after)
        return pack([b"EVALSHA", self._history_digest, b"%d" % len(keys), *keys, *arguments])


class CoordinatorScripts:
    """The scripts of `RedisCoordinator`."""

    def __init__(self) -> None:
        names = ("heartbeat", "presence", "connections", "take_tokens", "revoke", "forget")
        texts = {name: _read(name) for name in names}
        self.texts = list(texts.values())
        self._digests = _digests(texts)

    def call(self, name: str, keys: list[bytes], *arguments: bytes) -> bytes:
        """Pack a call of the script `name`.lua."""
        return pack([b"EVALSHA", self._digests[name], b"%d" % len(keys), *keys, *arguments])
