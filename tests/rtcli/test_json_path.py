from __future__ import annotations

import pytest

from rtcli.json_path import as_text, has, lookup

TREE = {"type": "ack", "data": {"room": "a", "offset": 7, "ok": True, "list": [{"x": 1.5}]}}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("type", "ack"),
        ("data.room", "a"),
        ("$.data.offset", "7"),
        ("data.ok", "true"),
        ("data.list.0.x", "1.5"),
        ("data.list", '[{"x":1.5}]'),
        ("data.missing", None),
        ("data.list.5", None),
        ("type.deeper", None),
    ],
)
def test_paths(path: str, text: str | None) -> None:
    assert as_text(lookup(TREE, path)) == text
    assert has(TREE, path) is (text is not None)
