"""One file a command; `rtcli/cli.py` says how each plugs in."""
