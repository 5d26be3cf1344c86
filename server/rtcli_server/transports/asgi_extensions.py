"""What the bundled server tells ASGI applications in `scope["extensions"]`. Other servers set none of it."""

from __future__ import annotations

HTTP_PROTOCOL = "rtcli.http"  # the HttpProtocol itself: event streams write to its transport
WEBSOCKET_ABORT = "rtcli.websocket"  # {"abort": function that drops the transport}
