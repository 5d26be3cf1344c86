"""Brokers under test, what is done to them from outside, and files that they write."""
