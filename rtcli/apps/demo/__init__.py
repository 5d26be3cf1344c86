"""What `rtcli demo` does: a script, its participants, and the transcript that is printed.

From outside: `rtcli.cli` imports `script` and `transcript`.
"""
