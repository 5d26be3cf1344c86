"""Samples of what the protocol allows."""
