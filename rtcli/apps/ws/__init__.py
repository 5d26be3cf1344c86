"""What `rtcli ws` does: a conversation with any WebSocket server, on a terminal or in a pipe.

`outgoing`, `expectations` and `render` are pure.

From outside: `rtcli.cli` imports `plan` and what a plan is made of, `outgoing`, `input`, `expectations`,
`session` and `output`.
"""
