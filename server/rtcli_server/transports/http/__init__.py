"""HTTP/1.1 with deadlines and limits, and whom a request comes from.

From outside: `protocol` and `trusted_proxies.
"""
