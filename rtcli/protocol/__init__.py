"""The wire protocol, pure: no asyncio, no I/O, no clock, no logging. Shared with every client.

`docs/protocol.md` is its specification; where that page and this package differ, one of them is a bug.
"""
