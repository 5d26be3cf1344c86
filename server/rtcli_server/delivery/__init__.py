"""From a publication to every subscriber: encoded once, joined per loop turn, recovered from the log.

From outside: `fanout.Fanout` delivers, `writing` writes to one subscription, `recovery` reads what was
missed; `channel` and `wire` have the values.
"""
