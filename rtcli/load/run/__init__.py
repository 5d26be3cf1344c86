"""A run: the coordinator and its workers, the target, capacity, progress, and the result.

From outside: `target`, `coordinator` and `result` in this order; `estimate` and `capacity` before a run,
`progress` during it, `own_server` for `--serve`, and the error of `worker_pool`.
"""
