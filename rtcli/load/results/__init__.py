"""What a run found: the result, its document, its comparison with another.

From outside: all of it.
"""
