"""The accounts of users, sends, and what absent users missed: kept by each worker, added up in the end. Pure.

From outside: users report to `presence`, through the worker's `attendance`, and to `sends`, with the causes
of `absences` and the rooms of `absence`; at the end, `missed` counts what absent users did not get, and
`doubts` says what can be known of messages without acknowledgements; `users_account` and `sends_account` add
up the workers and judge.
"""
