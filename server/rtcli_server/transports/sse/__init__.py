"""Event streams over HTTP: requests, responses, and how bytes get to the transport.

From outside: `endpoints` alone.
"""
