"""A package with an adapter, as pip would have installed it; for this process and its workers."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest


def install_adapter(folder: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, source: str) -> None:
    """Install a module whose class `Adapter` speaks `protocol`; each test needs a name of its own."""
    info = folder / f"{protocol}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {protocol}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rtcli.adapters]\n{protocol} = {protocol}:Adapter\n")
    (folder / f"{protocol}.py").write_text(dedent(source))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
