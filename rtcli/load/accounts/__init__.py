"""The accounts of users, sends, and what absent users missed: kept by each worker, added up in the end. Pure.

From outside: users report to `presence`, through the worker's `attendance`, and to `sends`; `missed` counts
at the end what absent users did not get; `users_account` and `sends_account` add up the workers and judge.
`expected_errors` says what a scenario allows.
"""
