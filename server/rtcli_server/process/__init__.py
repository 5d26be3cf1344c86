"""A server as a process: running it, several workers on one port, its logs.

From outside: `runner` runs a server, `supervisor` its workers, `logs` configures what is written.
"""
