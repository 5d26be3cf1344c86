"""The end of the audit: what should have come and did not, in which order, and what should not have come.

From outside: `judge`, which uses the others.
"""
