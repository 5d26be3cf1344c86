"""Servers, connections and loops whose behaviour a test scripts."""
