"""The tree of a scenario file as plain data: for JSON bodies, the digest, the check of the schema."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from rtcli.load.scenario.yaml import MappingNode, Node, ScalarNode, SequenceNode


def plain_value(node: ScalarNode) -> str | float | bool | None:
    """What a single value is in JSON: the core schema of YAML 1.2, without octal, hexadecimal and NaN."""
    if not node.plain:
        return node.text
    words_of_json: Mapping[str, bool | None] = {
        "": None,
        "~": None,
        "null": None,
        "true": True,
        "false": False,
    }
    if node.text in words_of_json:
        return words_of_json[node.text]
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", node.text, re.ASCII):
        return int(node.text)
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})\.\d{1,17}", node.text, re.ASCII):
        return float(node.text)
    return node.text


def to_plain(node: Node) -> object:
    """The whole tree as JSON would have it."""
    if isinstance(node, MappingNode):
        return {key.text: to_plain(value) for key, value in node.pairs}
    if isinstance(node, SequenceNode):
        return [to_plain(item) for item in node.items]
    return plain_value(node)


def digest(root: MappingNode) -> str:
    """SHA-256 over what makes two runs comparable: everything but the description and the thresholds."""
    said = {
        key.text: to_plain(value)
        for key, value in root.pairs
        if key.text not in {"description", "thresholds"}
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
