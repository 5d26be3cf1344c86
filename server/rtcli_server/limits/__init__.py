"""How much one client may do and have: rates and connections. Pure: times and randomness are arguments.

From outside: all of it.
"""
