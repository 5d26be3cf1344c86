"""`rtcli scenario` and `rtcli report` as a person or a script runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.results.summary import encode
from rtcli.load.scenario.loader import bundled_names, read_source
from tests.support.load.sample_results import failing, passing
from tests.support.processes.rtcli import rtcli


def test_list_names_every_bundled_scenario_with_its_question(tmp_path: Path) -> None:
    result = rtcli("scenario", "list", home=tmp_path)
    assert result.returncode == 0
    lines = result.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == bundled_names()
    assert all(line.endswith("?") for line in lines)
    records = [
        json.loads(line) for line in rtcli("scenario", "list", "--json", home=tmp_path).stdout.splitlines()
    ]
    assert [record["name"] for record in records] == bundled_names()
    assert all(record["type"] == "scenario" and record["deliveries"] > 0 for record in records)


def test_show_gives_a_file_that_is_valid(tmp_path: Path) -> None:
    result = rtcli("scenario", "show", "smoke", home=tmp_path)
    assert result.stdout.decode() == read_source("smoke")[0]
    (tmp_path / "mine.yaml").write_bytes(result.stdout)
    checked = rtcli("scenario", "validate", "mine.yaml", home=tmp_path)
    assert checked.returncode == 0
    assert checked.stdout.decode().startswith("mine.yaml is a valid scenario\n")
    assert b"Delivered    about 1 170" in checked.stdout
    changed = rtcli(
        "scenario", "validate", "mine.yaml", "--set", "roles.reader.users=50", "--json", home=tmp_path
    )
    assert json.loads(changed.stdout)["users"] == {"reader": 50, "writer": 2, "tail": 5}


def test_the_schema_is_json_schema(tmp_path: Path) -> None:
    for command in ("scenario", "report"):
        schema = json.loads(rtcli(command, "schema", home=tmp_path).stdout)
        jsonschema.Draft202012Validator.check_schema(schema)


def test_three_mistakes_are_three_lines_and_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nrols: {}\nphases: [{name: a, for: 3}]\n", encoding="utf-8")
    result = rtcli("scenario", "validate", "bad.yaml", home=tmp_path)
    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.decode().splitlines()[:4] == [
        "bad.yaml:1:1: a scenario needs 'roles'",
        "bad.yaml:2:1: a scenario has no 'rols'; did you mean 'roles'?",
        "bad.yaml:3:25: for: '3' is not a duration: write 3s",
        "error: bad.yaml has 3 mistakes",
    ]
    as_json = rtcli("scenario", "validate", "bad.yaml", "--json", home=tmp_path)
    record = json.loads(as_json.stderr)
    assert (record["type"], record["exit"]) == ("error", 2)
    assert record["message"].count("bad.yaml:") == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("scenario", "show", "smok"), "did you mean 'smoke'?"),
        (("scenario", "show", "."), "it is a directory"),
        (("scenario", "validate", "none.yaml"), "No such file or directory"),
        (("scenario", "validate", "smoke", "--set", "roles.reader.usrs=1"), "did you mean 'users'?"),
        (("scenario", "validate"), "missing argument"),
        (("loadtest", "smok", "--serve"), "did you mean 'smoke'?"),
        (("loadtest", "smoke", "--dry-run", "--threshold", "lst: count == 0"), "did you mean 'lost'?"),
        (
            ("loadtest", "smoke", "--serve", "--set", "roles.reader.users=900000"),
            "file descriptors are needed",
        ),
        (("loadtest", "smoke", "--serve", "--baseline", "nothing"), "no such file or directory"),
        (("report", "show", "nothing"), "no such file or directory"),
        (("report", "compare", "nothing", "nothing"), "no such file or directory"),
        (("report", "show", "nothing", "-o", "pdf"), "pdf"),
    ],
)
def test_what_is_wrong_is_two_lines_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    result = rtcli(*arguments, home=tmp_path)
    text = result.stderr.decode()
    assert result.returncode == 2
    assert expected.lower() in text.lower()
    assert "Traceback" not in text
    assert text.splitlines()[-2].startswith("error: ")
    assert text.splitlines()[-1].startswith("hint: ")


def test_a_dry_run_says_what_is_needed_and_starts_nothing(tmp_path: Path) -> None:
    result = rtcli("loadtest", "smoke", "--dry-run", home=tmp_path)
    assert result.returncode == 0
    assert b"Connections  27" in result.stdout
    assert result.stderr == b""


@pytest.mark.parametrize("form", ["text", "json", "junit", "html", "markdown", "github", "prometheus"])
def test_results_are_shown_in_every_form_with_their_exit_code(tmp_path: Path, form: str) -> None:
    (tmp_path / "summary.json").write_bytes(encode(failing()))
    result = rtcli("report", "show", ".", "-o", form, home=tmp_path)
    assert result.returncode == 98
    assert b"lost" in result.stdout
    assert result.stderr == b""


def test_runs_are_compared(tmp_path: Path) -> None:
    for name, run in (("a", passing()), ("b", failing())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_bytes(encode(run))
    worse = rtcli("report", "compare", "a", "b", home=tmp_path)
    assert worse.returncode == 97
    assert any(
        line.startswith("lost ") and line.endswith("worse") for line in worse.stdout.decode().splitlines()
    )
    same = rtcli(
        "report", "compare", "a", "a", "--tolerance", "10%", "--floor", "1ms", "--tail-floor", "2ms",
        "--factor", "2", "--factor-floor", "1ms", "--json", home=tmp_path,
    )  # fmt: skip
    assert same.returncode == 0
    assert all(json.loads(line)["type"] == "comparison" for line in same.stdout.splitlines())
    for option, value in (("--tolerance", "much"), ("--tail-floor", "9"), ("--factor", "0.5")):
        refused = rtcli("report", "compare", "a", "b", option, value, home=tmp_path)
        assert refused.returncode == 2
        assert option in refused.stderr.decode()


STOPPED = replace(passing(), verdict=Verdict.INTERRUPTED, interrupted_by="SIGTERM")


@pytest.mark.parametrize(
    ("runs", "code", "text", "hint"),
    [
        ((STOPPED, passing()), 2, "the baseline was interrupted by SIGTERM", "record the baseline anew"),
        ((passing(), STOPPED), 143, "the run in question was interrupted", "run it again"),
        (
            (replace(passing(), accounts=None), passing()),
            2,
            "the baseline has no account",
            "record the baseline",
        ),
    ],
)
def test_incomplete_runs_are_not_compared(
    tmp_path: Path, runs: tuple[RunResult, RunResult], code: int, text: str, hint: str
) -> None:
    for name, run in zip("ab", runs, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_bytes(encode(run))
    refused = rtcli("report", "compare", "a", "b", home=tmp_path)
    assert refused.returncode == code
    assert text in refused.stderr.decode()
    assert hint in refused.stderr.decode()


def test_an_unusable_baseline_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for run, text in (
        (STOPPED, "it was interrupted by SIGTERM"),
        (replace(passing(), accounts=None), "it has"),
    ):
        (tmp_path / "old" / "summary.json").write_bytes(encode(run))
        result = rtcli("loadtest", "smoke", "--serve", "--baseline", "old", "--out", "new", home=tmp_path)
        assert result.returncode == 2
        error, hint = result.stderr.decode().splitlines()
        assert error.startswith(f"error: old cannot be a baseline: {text}")
        assert "record the baseline anew" in hint
        assert not (tmp_path / "new").exists()
