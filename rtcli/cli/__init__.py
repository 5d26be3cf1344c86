"""The command line: the commands with their options, signals and exit codes.

Only the entry points import this package from outside; they call `app.main`.
"""
