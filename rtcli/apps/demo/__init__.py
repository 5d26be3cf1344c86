"""The parts of `rtcli demo`: people who talk by a script, and how it is shown."""
