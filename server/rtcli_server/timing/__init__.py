"""Clocks and timers.

From outside: all of it; nothing in here knows anything of realtime.
"""
