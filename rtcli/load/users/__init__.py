"""Users: their connection, what they send and receive over it, and the flow that they follow.

From outside: `user.User` and `user.make_user`, and `flow`.
"""
