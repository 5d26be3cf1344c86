"""How much one client may do and have: message rates, connections. Pure: times and randomness are arguments.

From outside: `token_bucket`, `user_rates` and `connection_caps`, all of them.
"""
