"""The Python client library: WebSocket with acknowledgements and resume, and Server-Sent Events.

Pure parts decide (`state`, `backoff`, `failures`, `endpoint`); `ws` and `sse` do the I/O.
"""
