"""The document of a result: its schema, and what is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from rtcli.errors import CliError
from rtcli.load.results import summary
from rtcli.load.results.model import RunResult
from tests.support.load.sample_results import failing, passing, short


@pytest.mark.parametrize("result", [passing(), failing(), short()])
def test_the_summary_follows_its_schema_and_can_be_read_back(result: RunResult) -> None:
    content = summary.encode(result)
    document = json.loads(content)
    schema = summary.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    back = summary.decode(content)
    assert summary.decode(summary.encode(back)) == back
    assert document["exit_code"] == int(back.exit_code)
    assert document["started_at"] == "2023-11-14T22:13:20.500Z"


def test_the_summary_has_what_scripts_look_for() -> None:
    document = json.loads(summary.encode(failing()))
    assert document["verdict"] == "violation"
    assert document["audit"]["counts"]["lost"] == 37
    assert {"expected", "delivered", "lost", "duplicate", "reordered"} <= set(document["audit"]["counts"])
    assert document["thresholds"][1]["outcome"] == "failed"
    assert document["audit"]["violations"][0]["publisher"] == "writer 3"


def test_a_summary_of_an_earlier_version_has_no_accounts() -> None:
    document = json.loads(summary.encode(passing()))
    assert document["format"] == "rtcli.summary/v2"
    del document["accounts"]
    old = summary.decode(json.dumps({**document, "format": "rtcli.summary/v1"}).encode())
    assert old.accounts is None
    assert old == replace(summary.decode(summary.encode(passing())), accounts=None)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format":"other"}', b'{"format":"rtcli.summary/v2"}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_summary_is_refused(content: bytes) -> None:
    with pytest.raises(summary.SummaryError):
        summary.decode(content)


def test_results_are_read_from_a_directory_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(summary.encode(failing()))
    assert summary.read_result(tmp_path) == summary.read_result(tmp_path / "summary.json")
    for path, expected in (
        (tmp_path / "no", "no such file"),
        (tmp_path.parent, "no such file"),
        (Path("a\0"), "null"),
    ):
        with pytest.raises(CliError, match=expected):
            summary.read_result(path)
    (tmp_path / "summary.json").write_bytes(b"{}")
    with pytest.raises(CliError, match="not a summary"):
        summary.read_result(tmp_path)
