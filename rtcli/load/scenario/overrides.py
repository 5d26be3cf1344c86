"""Overrides of a scenario from the command line: `--set roles.reader.users=50`."""

from __future__ import annotations

from rtcli.load.scenario.nodes import Diagnostic, MappingNode, Node, ScalarNode, SequenceNode, did_you_mean
from rtcli.load.scenario.yaml import YamlError, compose


class OverrideError(ValueError):
    """The override cannot be applied; the text says why."""


def apply_override(root: MappingNode, text: str) -> Diagnostic | None:
    """Apply one override, `path.to.value=value`, to the tree in place. Returns the mistake in it, if any.

    A part of the path names an item of a list by its index, from 0, or by its `name`. The value is YAML.
    """
    path, equals, value = text.partition("=")
    origin = f"--set {path}"
    if not equals or not path:
        return Diagnostic(0, 0, "write --set path=value, like --set roles.reader.users=50", origin)
    try:
        node, diagnostics = compose(value)
    except YamlError as error:
        return Diagnostic(0, 0, error.diagnostic.text, origin)
    if diagnostics:
        return Diagnostic(0, 0, diagnostics[0].text, origin)
    replacement = node or ScalarNode(0, 0, "")
    _mark(replacement, origin)
    try:
        _put(root, path.split("."), replacement, origin)
    except OverrideError as error:
        return Diagnostic(0, 0, str(error), origin)
    return None


def _mark(node: Node, origin: str) -> None:
    node.origin = origin
    if isinstance(node, MappingNode):
        for key, value in node.pairs:
            _mark(key, origin)
            _mark(value, origin)
    elif isinstance(node, SequenceNode):
        for item in node.items:
            _mark(item, origin)


def _put(node: Node, path: list[str], replacement: Node, origin: str) -> None:
    name, *rest = path
    if isinstance(node, ScalarNode):
        raise OverrideError(f"{name!r}: there is a single value here, and nothing below it")
    if isinstance(node, SequenceNode):
        index = _index(node, name)
        if rest:
            _put(node.items[index], rest, replacement, origin)
        else:
            node.items[index] = replacement
        return
    child = node.get(name)
    if not rest:
        node.pairs = [pair for pair in node.pairs if pair[0].text != name]
        node.pairs.append((ScalarNode(0, 0, name, origin=origin), replacement))
    elif child is None:
        child = MappingNode(0, 0, origin=origin)
        node.pairs.append((ScalarNode(0, 0, name, origin=origin), child))
        _put(child, rest, replacement, origin)
    else:
        _put(child, rest, replacement, origin)


def _index(node: SequenceNode, name: str) -> int:
    if name.isdecimal() and int(name) < len(node.items):
        return int(name)
    names: dict[str, int] = {}
    for index, item in enumerate(node.items):
        called = item.get("name") if isinstance(item, MappingNode) else None
        if isinstance(called, ScalarNode):
            names[called.text] = index
    if name not in names:
        raise OverrideError(
            f"there is no item {name!r} in a list of {len(node.items)}{did_you_mean(name, names)}"
        )
    return names[name]
