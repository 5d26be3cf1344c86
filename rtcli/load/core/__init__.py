"""What the users of one worker share: context, schedule, timers, data, errors.

From outside: all of it.
"""
