"""What is measured, and how Prometheus reads it.

From outside: `registry.Metrics` records, `exposition.Exposition` renders.
"""
