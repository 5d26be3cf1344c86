"""JSON answers that may be long: made piece by piece, each when the client has read those before.

So an answer that nobody reads costs a few pieces, whatever it would be in all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class PiecesResponse(Response):
    """A JSON answer in pieces, none of which is empty. One that is whole in its first has a length."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.status_code = 200
        self.background = None
        self.init_headers({"content-type": "application/json"})  # not Response.__init__: no length yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the signature is ASGI's
        """Send the pieces; `send` waits while the transport holds much."""
        piece = await anext(self._pieces)
        following = await anext(self._pieces, b"")
        if not following:
            self.headers["content-length"] = str(len(piece))
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while following:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)  # the transport writes, and everyone else has their turn
            piece, following = following, await anext(self._pieces, b"")
        await send({"type": "http.response.body", "body": piece, "more_body": False})
