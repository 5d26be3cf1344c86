"""Everyone who is connected: WebSocket connections, event streams, their limits and their orderly end.

From outside: `hub` knows all of them, `websocket`, `event_stream` and `heartbeat_stream` are what
transports drive through the ports in `*_writer`.
"""
