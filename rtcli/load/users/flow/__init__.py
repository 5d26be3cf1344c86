"""What a user does: its flow, step by step.

From outside: `runner.Flow`, and `actions` with what does each kind of step.
"""
