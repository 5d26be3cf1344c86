"""What the users of one worker share: context, schedule, timers, latches, data, paths in JSON.

From outside: all modules.
"""
