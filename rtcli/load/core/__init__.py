"""What the users of one worker share: context, schedule, timers, latches, data.

From outside: all modules.
"""
