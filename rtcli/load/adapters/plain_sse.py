"""Any event stream: what it is about is in the address, and what it sends is read for tokens."""

from __future__ import annotations

from typing import Literal

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters.interface import Data, Event, Opening, SseAdapter
from rtcli.load.audit.token import MARK

_MARK = MARK.decode()


class PlainSse(SseAdapter):
    """The adapter. The response confirms the rooms that the scenario names for the request.

    A stream that takes `Last-Event-ID` is held to it: what was missed is expected to come.
    """

    transport: Literal["sse"] = "sse"
    greets = False
    resumes = True

    @override
    def target(self, endpoint: Endpoint, opening: Opening) -> str:
        return opening.path or endpoint.path or "/"

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    @override
    def parse(self, event: str, data: str, last_id: str) -> list[Event]:
        """What an event means. Its room is not known here: the token in the message tells it."""
        return [Data(None, None)] if _MARK in data or "\\u00" in data else []
