"""From a publication to every subscriber: encoded once, joined per loop turn, recovered from the log.

From outside: `fanout.Fanout` delivers, `recovery` reads what was missed and writes it, `resumption`
reads cursors and tells what came of them; `channel` and `wire`
have the values.
"""
