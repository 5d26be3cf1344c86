"""One server without its transports: all parts, put together from plain settings.

From outside: `Realtime`, which the transports and the HTTP API ask for what they need.
"""

from rtcli_server.realtime.server import Realtime

__all__ = ["Realtime"]
