"""HTTP/1.1 with deadlines and limits, and whom a request comes from.

From outside: `protocol.HttpProtocol` and its guard, `trusted_proxies`.
"""
