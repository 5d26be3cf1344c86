"""Clocks, timers, and work in the background or in groups.

From outside: all of it. Nothing in here knows what a connection or a room is.
"""
