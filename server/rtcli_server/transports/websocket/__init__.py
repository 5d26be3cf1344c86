"""WebSocket connections on sockets: picows behind our HTTP protocol, and any ASGI server.

From outside: `upgrade` and `portable` for the runner, `asgi` for the application.
"""
