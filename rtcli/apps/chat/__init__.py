"""What `rtcli chat` does: on a screen, line by line, or in a pipe.

From outside: `rtcli.cli` imports the three ways to run it, and the demo `render`.
"""
