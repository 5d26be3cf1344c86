"""The log in a SQLite file.

From outside: `broker.SqliteBroker` and `file.open_file`.
"""
