"""What the commands do, without their options: chat, tail, publish, serve, the demo, reading a token.

From outside: only `rtcli.cli` imports it.
"""
