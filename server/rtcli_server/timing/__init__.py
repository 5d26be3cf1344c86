"""Clocks, timers, and work in the background or in batches.

From outside: all modules. Nothing in here knows what a connection or a room is.
"""
