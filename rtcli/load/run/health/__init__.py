"""The load generator's own health: how late its event loops are, and which seconds say nothing because of it.

From outside: all modules.
"""
