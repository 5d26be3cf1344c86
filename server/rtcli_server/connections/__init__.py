"""The clients of this instance: WebSocket connections, event streams, slow ones, and their orderly end.

From outside: `hub` has all of them, `drain` closes them; transports drive `websocket`, `event_stream` and
`heartbeat_stream` through the ports in `websocket_writer` and `event_stream_writer`; `slow_consumers`,
`send_budget`, `process_budget` and `reply_flusher` are shared by all; `answers` has the HTTP connections;
`hooked` is for a server whose application has hooks.
"""
