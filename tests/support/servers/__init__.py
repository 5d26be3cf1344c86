"""Servers that tests run: ours in a thread or as processes, and other people's."""
