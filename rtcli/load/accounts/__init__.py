"""The accounts of users and of what they missed: kept by each worker during a run, added up after it. Pure.

From outside: users report to `presence`, through the worker's `attendance`; `missed` counts at the end what
absent users did not get, and `users_account` adds up the workers and judges.
"""
