"""The script that measures the tree, as a module: scripts/ is no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.support.paths import ROOT

__all__ = ["STRUCTURE"]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", ROOT / "scripts" / "_structure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


STRUCTURE = _load()
