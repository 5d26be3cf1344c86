"""Sockets of the load generator: WebSocket connections, event streams, source addresses, slow readers.

From outside: all of it; nothing in here knows what a user does.
"""
