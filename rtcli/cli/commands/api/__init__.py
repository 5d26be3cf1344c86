"""The commands that ask the HTTP API of a server once, and end: what it has, and what an administrator does.

From outside: nothing; `rtcli.cli.app` imports the modules by their names.
"""
