"""One WebSocket connection as a pure state machine: messages and the time go in, decisions come out.

From outside: `session.Session`, the `decisions` that it returns, the `settings` that it takes, and
`replies`, how it words its messages. There is no I/O, clock or logging in here.
"""
