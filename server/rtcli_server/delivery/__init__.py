"""From a publication to every subscriber: encoded once, joined per loop turn, recovered from the log.

From outside: `fanout.Fanout` delivers, `channel` and `wire` have its values, `recovery` reads what was
missed.
"""
