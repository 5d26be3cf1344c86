"""The load client: one process on one core that connects, publishes, counts and times."""
