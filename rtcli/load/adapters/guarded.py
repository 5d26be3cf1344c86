"""Adapters of installed packages, called so that their bugs are told from everything else.

Each method raises `AdapterFailedError` when the adapter's own raises, or returns what it must not. The
adapters of this package are called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters.interface import (
    Acked,
    ChannelEvent,
    ChannelStart,
    Closing,
    Data,
    Event,
    Gap,
    Hello,
    Joined,
    Left,
    Opening,
    Other,
    Refused,
    Reply,
    SseAdapter,
    Unreadable,
    WsAdapter,
)
from rtcli.load.core.failures import place_of
from rtcli.load.errors import AdapterFailedError
from rtcli.load.scenario.protocols import summarize
from rtcli.protocol.position import Position

_TEXT = (str, type(None))
_PLACE = (Position, type(None))
_SECONDS = (int, float, type(None))
_FIELDS: Mapping[type, tuple[Any, ...]] = {
    Data: (_TEXT, _PLACE, _TEXT),
    Acked: (str, _PLACE),
    Refused: (_TEXT, str),
    Joined: (str, _PLACE, (bool, type(None))),
    Left: (str,),
    Gap: (str, _PLACE, _PLACE, (int, type(None))),
    Hello: (str, (tuple, list)),
    ChannelEvent: (str, _PLACE),
    Reply: (bytes,),
    Closing: (_SECONDS,),
    Unreadable: (str,),
    Other: (),
}
"""The types of each event's fields."""
_START: tuple[Any, ...] = (str, _PLACE, (bool, type(None)))
"""The types of the fields of each `ChannelStart` in a Hello."""


class _Guard:
    """Calls the methods of one adapter."""

    def __init__(self, protocol: str, adapter: object) -> None:
        self._protocol = protocol
        self._package = type(adapter).__module__.partition(".")[0]

    def failed(self, method: Callable[..., object], error: BaseException) -> NoReturn:
        """The method raised."""
        place = place_of(error.__traceback__, self._package)
        where = f" ({place})" if place else ""
        summary = summarize(error) if isinstance(error, Exception) else type(error).__name__
        raise AdapterFailedError(self._protocol, f"its {_name(method)} raised {summary}{where}") from error

    def returned(self, method: Callable[..., object], value: object, wanted: str) -> NoReturn:
        """The method returned something of another type."""
        text = repr(value)
        text = text if len(text) <= 60 else f"{text[:57]}..."
        raise AdapterFailedError(self._protocol, f"its {_name(method)} returned {text}, not {wanted}")

    def call(self, method: Callable[..., Any], *arguments: object, **named: object) -> Any:  # noqa: ANN401 - whatever the adapter takes and returns
        """Call a method."""
        try:
            return method(*arguments, **named)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an adapter may raise anything
            self.failed(method, error)

    def text(self, method: Callable[..., Any], *arguments: object) -> str:
        """Call a method that returns a text."""
        value = self.call(method, *arguments)
        return value if isinstance(value, str) else self.returned(method, value, "a str")

    def fields(self, method: Callable[..., Any], *arguments: object) -> list[tuple[str, str]]:
        """Call a method that returns header fields."""
        value = self.call(method, *arguments)
        try:
            pairs = [(name, text) for name, text in value if isinstance(name, str) and isinstance(text, str)]
        except (TypeError, ValueError):
            self.returned(method, value, "a list of pairs of str")
        return pairs if len(pairs) == len(value) else self.returned(method, value, "a list of pairs of str")

    def frame(self, method: Callable[..., Any], *arguments: object, **named: object) -> bytes:
        """Call a method that returns a frame."""
        value = self.call(method, *arguments, **named)
        return value if isinstance(value, bytes) else self.returned(method, value, "bytes")

    def frame_if_any(self, method: Callable[..., Any], *arguments: object, **named: object) -> bytes | None:
        """Call a method that returns a frame or None."""
        value = self.call(method, *arguments, **named)
        if value is not None and not isinstance(value, bytes):
            self.returned(method, value, "bytes or None")
        return value

    def event(self, method: Callable[..., Any], value: Any) -> Event:  # noqa: ANN401 - whatever the adapter takes and returns
        """Check an event that a method has returned."""
        types = _FIELDS.get(type(value))
        if types is None or not all(map(isinstance, value, types)):
            self.returned(method, value, "an event of rtcli.load.adapters with the types of its fields")
        if type(value) is Hello and not _are_starts(value.channels):
            self.returned(method, value, "channels that are each a ChannelStart with the types of its fields")
        return value  # type: ignore[no-any-return] # checked above


def _are_starts(channels: Sequence[Any]) -> bool:
    """Whether the channels of a Hello are what they should be."""
    return all(isinstance(it, ChannelStart) and all(map(isinstance, it, _START)) for it in channels)


def _name(method: Callable[..., object]) -> str:
    return getattr(method, "__name__", "method")


def _authority(url: str) -> str:
    """The host and port of a URL, as `Endpoint.authority`; whatever is no such URL equals no authority."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


class GuardedWs(WsAdapter):
    """An installed adapter over WebSocket."""

    def __init__(self, protocol: str, adapter: WsAdapter) -> None:
        self._guard = _Guard(protocol, adapter)
        self._adapter = adapter
        self._parse = adapter.parse
        self.transport = adapter.transport
        self.greets = adapter.greets
        self.acks = adapter.acks
        self.resumes = adapter.resumes
        self.confirms = adapter.confirms
        self.confirms_leaves = adapter.confirms_leaves
        self.subprotocols = adapter.subprotocols

    @override
    def url(self, endpoint: Endpoint, opening: Opening) -> str:
        url = self._guard.text(self._adapter.url, endpoint, opening)
        if _authority(url) != endpoint.authority:
            self._guard.returned(self._adapter.url, url, f"an address of the target, {endpoint.authority}")
        return url

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        return self._guard.fields(self._adapter.headers, opening)

    @override
    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        frames = self._guard.call(self._adapter.hello, user)
        if not isinstance(frames, list | tuple) or not all(isinstance(frame, bytes) for frame in frames):
            self._guard.returned(self._adapter.hello, frames, "a list of bytes")
        return list(frames)

    @override
    def join(
        self,
        room: str,
        since: Position | None,
        history: int,
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes | None:
        return self._guard.frame_if_any(self._adapter.join, room, since, history, request_id, user)

    @override
    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes | None:
        return self._guard.frame_if_any(self._adapter.leave, room, request_id, user)

    @override
    def send(self, room: str, text: str, request_id: str, user: Mapping[str, object]) -> bytes:
        return self._guard.frame(self._adapter.send, room, text, request_id, user)

    @override
    def typing(self, room: str, *, is_typing: bool) -> bytes | None:
        return self._guard.frame_if_any(self._adapter.typing, room, is_typing=is_typing)

    @override
    def parse(self, frame: bytes) -> Event:
        try:
            event = self._parse(frame)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an adapter may raise anything
            self._guard.failed(self._parse, error)
        return self._guard.event(self._parse, event)


class GuardedSse(SseAdapter):
    """An installed adapter over event streams."""

    def __init__(self, protocol: str, adapter: SseAdapter) -> None:
        self._guard = _Guard(protocol, adapter)
        self._adapter = adapter
        self.transport = adapter.transport
        self.greets = adapter.greets
        self.resumes = adapter.resumes

    @override
    def target(self, endpoint: Endpoint, opening: Opening) -> str:
        target = self._guard.text(self._adapter.target, endpoint, opening)
        if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
            self._guard.returned(self._adapter.target, target, "a path and query, percent-encoded")
        return target

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        return self._guard.fields(self._adapter.headers, opening)

    @override
    def parse(self, event: str, data: str, last_id: str) -> list[Event]:
        method = self._adapter.parse
        found = self._guard.call(method, event, data, last_id)
        if not isinstance(found, list | tuple):
            self._guard.returned(method, found, "a list of events")
        return [self._guard.event(method, item) for item in found]
