"""The load generator's own health."""
