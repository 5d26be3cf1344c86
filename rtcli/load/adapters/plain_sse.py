"""Any event stream: what it is about is in the address, and what it sends is read for tokens."""

from __future__ import annotations

from typing import Literal

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters import base
from rtcli.load.audit.token import MARK

_MARK = MARK.decode()


class PlainSse:
    """The adapter. The answer to the request confirms the rooms that the scenario names for it.

    A stream that takes `Last-Event-ID` is held to it: what was missed is expected to come.
    """

    transport: Literal["sse"] = "sse"
    greets = False
    resumes = True

    def target(self, endpoint: Endpoint, opening: base.Opening) -> str:
        """See SseAdapter."""
        return opening.path or endpoint.path or "/"

    def headers(self, opening: base.Opening) -> list[tuple[str, str]]:
        """See SseAdapter."""
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    def parse(self, event: str, data: str, last_id: str) -> list[base.Event]:  # noqa: ARG002 - one signature
        """See SseAdapter. Which room it is for, the message itself tells."""
        return [base.Data(None, None)] if _MARK in data else []
