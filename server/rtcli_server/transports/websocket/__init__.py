"""WebSocket transports: picows or uvicorn's protocol under the bundled server, ASGI under every other one.

From outside: `picows_upgrade` and `uvicorn_protocol` for the runner, `asgi_endpoint` for the application.
"""
