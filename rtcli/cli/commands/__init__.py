"""One file a command; `rtcli/cli/app.py` says how each plugs in."""
