"""HTTP/1.1 under the bundled server, with deadlines and limits, and the addresses of clients behind proxies.

From outside: `protocol`, `options` and `trusted_proxies`; the WebSocket transports also use `handshake`.
"""
