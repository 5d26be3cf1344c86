"""Clients that say and show exactly what goes over the wire."""
