"""The metrics of a run: their names, samples, distributions, and how values are written. No I/O.

From outside: all modules.
"""
