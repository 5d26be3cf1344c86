"""What the commands do, without their options: chat, tail, publish, serve, loadtest, demo, token inspect.

From outside: only `rtcli.cli` imports it.
"""

DEFAULT_ROOM = "general"  # of `chat` and `publish` without --room
