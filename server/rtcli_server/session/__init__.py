"""One WebSocket connection as a pure state machine: messages and the time go in, decisions come out.

From outside: `session.Session`, the `decisions` it returns and the `settings` it takes; no I/O, no clock,
no logging in here.
"""
