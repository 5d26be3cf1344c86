"""Reads YAML that nobody has checked into a tree whose nodes know their place in the file.

The tree is built from PyYAML's events, so that the limits apply before anything grows: the nesting, and the
number of nodes after aliases are expanded (a "billion laughs" file is small and expands to terabytes). Tags
are refused, so nothing is ever constructed; there are no merge keys; a file is one document; no key may occur
twice. Scalars stay text: their field decides what `on`, `1:30` or `0x10` mean, not YAML.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from rtcli.load.scenario.nodes import Diagnostic, MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1_048_576
MAX_NODES = 20_000
MAX_DEPTH = 32

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(Exception):
    """The text cannot be read as YAML at all; `diagnostic` says where and why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.text)
        self.diagnostic = diagnostic


def compose(text: str) -> tuple[Node | None, list[Diagnostic]]:
    """Read one document into its tree (None if it is empty), with the mistakes that do not end the reading.

    Raises `YamlError` for those that do: broken syntax, too deep, too many nodes, an alias to itself.
    """
    composer = _Composer(text)
    try:
        return composer.document(), composer.diagnostics
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context or error).split())
        if "\\t" in what or "tab character" in what:
            what += " (indent with spaces, not with tabs)"
        raise YamlError(
            Diagnostic(mark.line + 1, mark.column + 1, what) if mark else Diagnostic(1, 1, what)
        ) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise YamlError(Diagnostic(line, column, "a control character that YAML does not allow")) from None


def _place(event: yaml.Event) -> tuple[int, int]:
    """Line and column, from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Composer:
    """Turns events into nodes, recursively. Depth and number of nodes are checked before each node."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.diagnostics: list[Diagnostic] = []
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._nodes = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._report(event, "a second document: a scenario is one document")
                    break
                root = self._node(next(self._events), 0)
        return root

    def _report(self, event: yaml.Event, text: str) -> None:
        self.diagnostics.append(Diagnostic(*_place(event), text))

    def _fatal(self, event: yaml.Event, text: str) -> YamlError:
        return YamlError(Diagnostic(*_place(event), text))

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._fatal(event, f"more than {MAX_NODES} values (aliases count each time they are used)")

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise self._fatal(event, f"nested more than {MAX_DEPTH} deep")
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise self._fatal(event, "expected a value")
        self._count(event, 1)
        if event.tag is not None and event.tag != "!":
            self._report(event, f"tags are not allowed: {event.tag}")
        before, anchor = self._nodes, event.anchor
        if anchor is not None:
            self._open.add(anchor)
        node = self._content(event, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = (node, self._nodes - before + 1)
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor in self._open:
            raise self._fatal(event, f"*{event.anchor} contains itself")
        if event.anchor not in self._anchors:
            raise self._fatal(event, f"there is no anchor &{event.anchor} before this")
        node, size = self._anchors[event.anchor]
        self._count(event, size)
        return node

    def _content(self, event: yaml.Event, depth: int) -> Node:
        line, column = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            start, end = (mark.index if mark else 0 for mark in (event.start_mark, event.end_mark))
            return ScalarNode(line, column, event.value, not event.style, start=start, end=end)
        if isinstance(event, yaml.SequenceStartEvent):
            return SequenceNode(line, column, self._items(depth))
        return MappingNode(line, column, self._pairs(depth))

    def _items(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            node = self._node(event, depth + 1)
            if not (items and isinstance(node, ScalarNode) and self._join(items[-1], node)):
                items.append(node)
        return items

    def _pairs(self, depth: int) -> list[tuple[ScalarNode, Node]]:
        pairs: dict[str, tuple[ScalarNode, Node]] = {}
        last: Node | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value_event = next(self._events)
            value = self._node(value_event, depth + 1)
            if not isinstance(key, ScalarNode):
                self._report(event, "a key must be a single word")
            elif last is not None and _is_empty(value) and self._join(last, key):
                continue
            elif key.text in pairs:
                self._report(
                    event, f"{key.text!r} stands here twice (first in line {pairs[key.text][0].line})"
                )
            else:
                pairs[key.text] = (key, value)
                last = value
        return list(pairs.values())

    def _join(self, before: Node, node: ScalarNode) -> bool:
        """Join the parts of `uniform(3s, 8s)`: inside {} and [], YAML ends a plain value at a comma."""
        if not (isinstance(before, ScalarNode) and before.plain and node.plain):
            return False
        if before.text.count("(") <= before.text.count(")"):
            return False
        before.text = " ".join(self.text[before.start : node.end].split())
        before.end = node.end
        return True


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.plain and not node.text
