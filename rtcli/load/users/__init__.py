"""Users: what they are, over which transport, and what they do.

From outside: `rtcli.load.run` makes them, through `websocket`, `event_stream` and `flow`.
"""
