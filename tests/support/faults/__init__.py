"""Deployments that are broken on purpose, and crowds that live through it."""
