"""What `import rtcli` offers to programs: clients of rooms, event streams, their values and errors.

From outside: `rtcli` has the public names of `client`, `stream`, `stream_reading`, `feeds` and `errors`, and
all others use those; `rtcli.blocking` also knows `access`.
"""
