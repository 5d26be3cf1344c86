"""What the commands do, without their options: chat, tail, publish, rooms, serve, loadtest, demo, …

From outside: all modules, but only `rtcli.cli` imports them.
"""

DEFAULT_ROOM = "general"  # of `chat` and `publish` without --room
