"""One server without its transports: all parts, put together from plain settings.

From outside: `RealtimeServer`, which the transports and the HTTP API ask for what they need; `audience` says
to how many connections something was queued.
"""

from rtcli_server.realtime.server import RealtimeServer

__all__ = ["RealtimeServer"]
