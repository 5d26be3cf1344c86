"""Side-by-side measurements of the server and the load tester with their peers.

One program per table (``python -m benchmarks.fanout`` and so on, or ``scripts/bench`` for all of them). Each
starts the peers and us in turn, in one run, interleaved, and writes ``results/<table>.json``; ``python -m
benchmarks.report`` writes ``docs/performance.md`` from those files. Absolute figures depend on the machine
and its mood: the ratios within one run are what is compared.
"""
