"""The delivery audit: whether every message reached everyone who should have it, once and in order.

`room` and `membership` hold who has received what; `roster` follows who sends and who is where; `audit`
takes deliveries; `judge` says at the end what is missing. All of it is pure: no clock, no socket.
"""
