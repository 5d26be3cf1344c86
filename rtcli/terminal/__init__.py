"""Input and output of a person or a pipe: the console, escaping, stdin.

From outside: `console` and `stdin`; nothing in here knows a command or the protocol.
"""
