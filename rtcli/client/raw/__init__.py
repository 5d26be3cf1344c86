"""Any WebSocket, frame by frame: no protocol above RFC 6455 is known here.

`frames` and `ending` are pure; `socket` does the I/O.

From outside: all modules.
"""
