"""The command line: commands, what they share, signals and exit codes.

Nothing outside imports this package but the entry point, which is `app.main`.
"""
