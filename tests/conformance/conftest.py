"""Fixtures of the conformance suites."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty log, of each kind in turn."""
    kind: str = request.param
    urls = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'rt.db'}"}
    return urls[kind]
