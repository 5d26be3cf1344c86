"""Input and output of a person or a pipe: the console, stdin, escaping, times of day.

All modules may be imported from outside; none of them knows a command or the protocol.
"""
