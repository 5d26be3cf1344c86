"""What the commands do, without their options: chat, tail, ws, publish, rooms, loadtest, demo and more.

From outside: all modules, but only `rtcli.cli` imports them.
"""

DEFAULT_ROOM = "general"  # of `chat` and `publish` without --room
