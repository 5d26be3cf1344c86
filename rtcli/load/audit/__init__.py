"""The delivery audit: whether every message reached everyone who should have it, once and in order. Pure.

From outside: `audit` while a run goes on, then `judgement` and `evidence`; `token` marks messages; users and
connections hold the types of `entry`, `membership`, `records` and `sender_log`, and look for tokens with
`texts`, and users follow `personal_events`; workers exchange what `ledger_exchange` makes; accounts read the
`room`s.
"""
