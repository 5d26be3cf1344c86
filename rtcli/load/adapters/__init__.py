"""Adapters: how the load tester speaks the protocols of different deployments."""
