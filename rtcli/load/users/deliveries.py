"""The deliveries in a frame or an event: one for each token in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rtcli.load.adapters.interface import Data
from rtcli.load.audit.records import Delivery, Subscriber
from rtcli.load.audit.texts import find_tokens
from rtcli.load.audit.token import LENGTH, MARK


def deliveries(  # noqa: PLR0917 - of each frame that differs: keywords cost time
    user: Subscriber,
    event: Data,
    data: bytes,
    now: int,
    frame: bytes | None = None,
    text: str | None = None,
) -> Iterable[Delivery]:
    """The messages in `data` for a user. `frame` or `text` is what later deliveries are compared with."""
    at = data.find(MARK)
    token = data[at : at + LENGTH]
    if at < 0 or b"\\" in token or data.find(MARK, at + LENGTH) >= 0:
        return _unusual(user, event, data, now, frame, text)
    room, position, content = event
    return (Delivery(user, room, token, position, now, data, frame, text, at, content),)


def _unusual(  # noqa: PLR0917 - those of `deliveries`
    user: Subscriber, event: Data, data: bytes, now: int, frame: bytes | None, text: str | None
) -> Iterator[Delivery]:
    """The same where there are several tokens, or none at first sight."""
    raw, places = find_tokens(data)
    if len(places) > 1:
        frame = text = None
    for at in places:
        token, content = raw[at : at + LENGTH], event.text
        if len(places) > 1 and content is not None and token.decode("ascii", "replace") not in content:
            content = None  # it is the text of another message in the frame
        yield Delivery(user, event.room, token, event.position, now, raw, frame, text, at, content)
