"""Scenarios, runs and results of load tests."""
