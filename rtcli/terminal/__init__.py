"""Input and output of a person or a pipe: the console, stdin, escaping, times of day.

From outside: all modules; none of them knows a command or the protocol.
"""
