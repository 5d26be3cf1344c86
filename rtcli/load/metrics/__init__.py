"""What a run measures: names, samples, distributions, thresholds.

From outside: all of it; nothing in here does I/O.
"""
