"""Sockets of the load generator: WebSocket connections, event streams, source addresses, slow readers.

From outside: all modules; nothing in here knows what a user does.
"""
