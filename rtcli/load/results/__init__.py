"""The result of a run, its thresholds, its document, and its comparison with another.

From outside: all modules.
"""
