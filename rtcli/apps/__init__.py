"""What the commands do, without their options: chat, tail, publish, serve, loadtest, demo, token inspect.

From outside: all modules, but only `rtcli.cli` imports them.
"""

DEFAULT_ROOM = "general"  # of `chat` and `publish` without --room
