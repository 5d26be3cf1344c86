"""What the bundled server tells ASGI applications in `scope["extensions"]`. Other servers set none of it."""

from __future__ import annotations

HTTP_PROTOCOL = "rtcli.http"  # the HttpProtocol itself: event streams write to its transport
# {"abort": function that drops the transport, "waiting_bytes": function that says how much waits in it}
WEBSOCKET_TRANSPORT = "rtcli.websocket"
