"""A run: the coordinator and its workers, the target, capacity, the live view.

From outside: `coordinator` runs, `target` probes, `estimate` and `machine` say what fits.
"""
