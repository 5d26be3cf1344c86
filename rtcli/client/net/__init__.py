"""Requests and connections to servers that nobody trusts: bounded in bytes and in time, and to no one else.

From outside: `answers` for HTTP, `handshake` for WebSocket, `explanation` for what went wrong.
"""
