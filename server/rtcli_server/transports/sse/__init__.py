"""Event streams over HTTP.

From outside: `endpoints` alone.
"""
