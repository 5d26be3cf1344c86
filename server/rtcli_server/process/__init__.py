"""A server as a process: running it, several workers on one port, its logs.

From outside: `runner` runs a server on the sockets of `listeners`, `supervisor` its workers, `logs`
configures logging.
"""
