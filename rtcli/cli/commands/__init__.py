"""One file a command; `rtcli/cli/app.py` says how each plugs in.

From outside: nothing; `rtcli/cli/app.py` imports each by its name when it is called.
"""
