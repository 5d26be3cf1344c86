"""The deliveries in a frame or an event: one for each token in it."""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.load.adapters.interface import Data
from rtcli.load.audit.records import Delivery, Subscriber
from rtcli.load.audit.texts import find_tokens
from rtcli.load.audit.token import LENGTH


def deliveries(
    user: Subscriber,
    event: Data,
    data: bytes,
    now: int,
    *,
    frame: bytes | None = None,
    text: str | None = None,
) -> Iterator[Delivery]:
    """The messages in `data` for a user. `frame` or `text` is what later deliveries are compared with."""
    raw, places = find_tokens(data)
    only = len(places) == 1
    for at in places:
        token = raw[at : at + LENGTH]
        content = event.text
        if not only:
            frame = text = None
            if content is not None and token.decode("ascii", "replace") not in content:
                content = None  # it is the text of another message in the frame
        yield Delivery(user, event.room, token, event.position, now, raw, frame, text, at, content)
