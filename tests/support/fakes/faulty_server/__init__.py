"""A small realtime server that speaks the protocol well, except where it is told to fail.

Real sockets, WebSocket and event streams, driven by the protocol's own session. Each fault is written down
where it is made, in the words of the audit: which message, which subscriber. The load tester must find
exactly those.
"""
