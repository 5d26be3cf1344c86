"""What `rtcli chat` does: on a screen, line by line, or in a pipe.

From outside: `rtcli.cli` imports the three ways to run it, `screen`, `plain` and `pipe`, and
`server_access`, which they are made with; the demo imports `render`.
"""
