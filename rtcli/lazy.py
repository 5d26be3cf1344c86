"""Public names of a package that are imported when they are first used, so that commands start fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_exports(package: str, module_of: Mapping[str, str]) -> Callable[[str], object]:
    """Make the `__getattr__` of a package: name → the module that has it, empty for a module itself."""

    def get(name: str) -> object:
        module = module_of.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not module:
            return import_module(f"{package}.{name}")
        return getattr(import_module(f"{package}.{module}"), name)

    return get
