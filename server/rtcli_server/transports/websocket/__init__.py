"""WebSocket connections on sockets: picows behind our HTTP protocol, and any ASGI server.

From outside: `picows_upgrade` and `uvicorn_protocol` for the runner, `asgi_endpoint` for the application.
"""
