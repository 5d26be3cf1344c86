"""The log in Redis or Valkey: a server, Sentinels or a cluster.

From outside: `broker.RedisBroker`, `target` and `timings`.
"""
