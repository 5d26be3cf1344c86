"""How bytes come in and go out: HTTP, WebSockets and event streams.

From outside: the packages for each of them, `http`, `websocket` and `sse`, and `cors`.
"""
