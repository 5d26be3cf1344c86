"""What `rtcli tail-events` does: filter, write and count events, run commands, keep the position.

From outside: `rtcli.cli` imports `plan` and what a plan is made of, `exec`, `filters`, `follow` and
`state_file`; the demo imports `render`.
"""
