"""Fuzzing what reads from strangers: targets that take bytes, and the loop that looks for new ones."""
