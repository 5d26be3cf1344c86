"""The command line: the commands with their options, signals and exit codes.

From outside: only the entry points import it; they call `app.main`.
"""
