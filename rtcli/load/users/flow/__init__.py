"""The flow of a user: what each kind of step does, and the runner that does one after the other.

From outside: `runner.Flow`, `actions.ACTIONS`, which it is made with, and `probe`, which tries a scenario
before a run.
"""
