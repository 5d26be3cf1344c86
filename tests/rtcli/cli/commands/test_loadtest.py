"""`rtcli loadtest` as a person or a script runs it: targets good and strange, results, and exit codes."""

from __future__ import annotations

import json
import socket
import xml.etree.ElementTree as ET
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.fakes.strange_targets import Answer, close_frame, plain, silence, target, websocket
from tests.support.processes.rtcli import RTCLI, rtcli

QUICK = """
name: quick
description: A second of chat.
phases:
  - { name: gather, for: 400ms, publish: stop }
  - { name: run, for: 800ms }
  - { name: drain, for: 200ms, publish: stop }
roles:
  reader: { users: 4, flow: [connect, { join: lobby }, hold] }
  tail: { users: 2, protocol: sse, flow: [{ connect: { rooms: [lobby] } }, hold] }
  writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 10/s } }] }
thresholds: { fanout_latency: ["p(95) < 5s"], lost: ["count == 0"] }
"""


@pytest.fixture
def quick(tmp_path: Path) -> str:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return str(path)


def errors(result: CompletedProcess[bytes]) -> list[str]:
    lines = result.stderr.decode().splitlines()
    assert "Traceback" not in result.stderr.decode()
    return lines


def test_a_run_against_our_own_server(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--serve", "--out", "results", home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().startswith("PASSED  quick")
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    counts = summary["audit"]["counts"]
    assert counts["expected"] == counts["delivered"] > 50
    assert (counts["lost"], counts["duplicate"], counts["reordered"]) == (0, 0, 0)
    assert summary["verdict"] == "passed"
    assert [it["outcome"] for it in summary["thresholds"]] == ["passed", "passed"]
    ET.parse(tmp_path / "results" / "junit.xml")  # noqa: S314 - our own
    assert (tmp_path / "results" / "report.html").stat().st_size > 1000


def test_json_is_one_line_with_the_summary(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--serve", "--json", home=tmp_path)
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.decode().splitlines()
    record = json.loads(line)
    assert (record["type"], record["exit_code"]) == ("summary", 0)


def test_a_failing_threshold_is_99(tmp_path: Path, quick: str) -> None:
    result = rtcli(
        "loadtest", quick, "--serve", "--threshold", "ws_sessions: count > 1000", "--no-progress",
        home=tmp_path,
    )  # fmt: skip
    assert result.returncode == 99
    assert "ws_sessions" in result.stdout.decode()


def test_workers_add_up(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--serve", "--workers", "2", "--json", home=tmp_path)
    record = json.loads(result.stdout)
    assert result.returncode == 0, record["reasons"]
    assert record["generator"]["workers"] == 2
    assert record["audit"]["subscribers"] == 8
    assert record["audit"]["counts"]["expected"] == record["audit"]["counts"]["delivered"] > 50


def test_dry_run_starts_nothing(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--dry-run", home=tmp_path)
    assert result.returncode == 0
    assert "Connections" in result.stdout.decode()


# -- the accounts ------------------------------------------------------------------------------------------


def outcomes(results: Path) -> dict[str, str]:
    """The test cases of the accounts, each with its outcome."""
    suites = ET.parse(results / "junit.xml").getroot()  # noqa: S314 - our own
    cases = next(suite for suite in suites if suite.get("name") == "accounts")
    return {case.get("name") or "": "".join(child.tag for child in case) for case in cases}


def test_a_whole_run_begins_with_its_accounts(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--serve", "--out", "results", home=tmp_path)
    headline, line = result.stdout.decode().splitlines()[:2]
    assert headline == "PASSED  quick: everybody was there, and everything arrived, once and in order."
    document = json.loads((tmp_path / "results" / "summary.json").read_text())
    due, planned = document["accounts"]["sends"]["due"], document["accounts"]["deliveries"]["planned"]
    assert line == f"  8 of 8 users · {due} of {due} messages · {planned} of {planned} deliveries"
    shown = rtcli("report", "show", "results", home=tmp_path)
    assert shown.stdout.decode().splitlines()[:2] == [headline, line]
    assert {"failure", "error", "skipped"}.isdisjoint(outcomes(tmp_path / "results").values())


def test_a_server_that_refuses_messages_is_red_for_that(tmp_path: Path, quick: str) -> None:
    limit = ("--set", "target.serve={rate_limit_per_s: 1}")
    result = rtcli("loadtest", quick, "--serve", *limit, "--out", "results", home=tmp_path)
    assert result.returncode == 98
    headline, line = result.stdout.decode().splitlines()[:2]
    assert headline.endswith("messages refused (rate_limited).")
    assert line.startswith("  8 of 8 users · ")
    found = outcomes(tmp_path / "results")
    assert found["sends"] == found["no message is unsent"] == "failure"
    assert found["users"] == found["deliveries"] == "system-out"


STREAMS = """
name: streams
target: { protocol: sse, publish: { path: "/publish/${room}", body: "${text}" } }
phases: [{ name: run, for: 600ms }]
audit: { settle: 100ms }
roles:
  tail: { users: 3, flow: [{ connect: { path: /news, rooms: [news] } }, hold] }
"""


def test_a_page_instead_of_an_event_stream_is_named(tmp_path: Path) -> None:
    (tmp_path / "streams.yaml").write_text(STREAMS)
    page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    with target(plain(page)) as url:
        result = rtcli("loadtest", "streams.yaml", "--url", url, home=tmp_path)
    assert result.returncode == 3
    where = f"{url.removeprefix('http://')}/news"
    assert errors(result)[0] == (
        f"error: {where} is no event stream, for tail: the answer is text/html, not text/event-stream"
    )


def test_a_scenario_that_sends_nothing_can_pass(tmp_path: Path, quick: str) -> None:
    writers = ("--set", "roles.writer.flow=[connect, hold]", "--set", "thresholds={}")
    result = rtcli("loadtest", quick, "--serve", *writers, home=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.decode().splitlines()[:2] == [
        "PASSED  quick: everybody was there.",
        "  8 of 8 users · no messages planned",
    ]


# -- targets that do not work ------------------------------------------------------------------------------


def test_nothing_to_test(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, home=tmp_path)
    assert result.returncode == 2
    assert errors(result) == [
        "error: nothing to test",
        "hint: give --url URL, or --serve for a fresh server of our own",
    ]


def test_our_own_server_and_another_at_once(tmp_path: Path, quick: str) -> None:
    result = rtcli("loadtest", quick, "--serve", "--url", "http://127.0.0.1:9", home=tmp_path)
    assert result.returncode == 2
    assert errors(result)[0] == "error: --serve and --url exclude each other"


def test_a_plan_that_cannot_be_run_is_refused(tmp_path: Path, quick: str) -> None:
    many = ("--set", "roles.writer.flow.2.send.rate=999999999/s", "--set", "phases.run.rates=x999999")
    result = rtcli("loadtest", quick, "--serve", *many, home=tmp_path)
    assert result.returncode == 2
    *_, first, second = errors(result)
    assert "messages are planned, 1 999 997 998" in first
    assert second.startswith("hint: ")


def test_an_unknown_scenario(tmp_path: Path) -> None:
    result = rtcli("loadtest", "smokey", "--serve", home=tmp_path)
    assert result.returncode == 2
    assert "smoke" in errors(result)[0]


@pytest.mark.parametrize("url", ["http://192.0.2.1:8000", "wss://chat.example.org"])
def test_a_remote_target_must_be_named(tmp_path: Path, quick: str, url: str) -> None:
    result = rtcli("loadtest", quick, "--url", url, home=tmp_path)
    assert result.returncode == 2
    first, second = errors(result)
    assert "is not this machine" in first
    assert "--allow-remote" in second


def test_a_remote_host_that_is_named_must_exist(tmp_path: Path, quick: str) -> None:
    name = "no-such-host.invalid"
    result = rtcli("loadtest", quick, "--url", f"http://{name}", "--allow-remote", name, home=tmp_path)
    assert result.returncode == 3
    assert errors(result)[0] == f"error: {name}: no such host"


def test_a_refused_connection(tmp_path: Path, quick: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        result = rtcli("loadtest", quick, "--url", f"http://127.0.0.1:{port}", home=tmp_path)
    assert result.returncode == 3
    assert errors(result)[0] == f"error: 127.0.0.1:{port} refused the connection"


NOT_FOUND = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
REDIRECT = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
TARGETS: dict[str, tuple[Answer, int, str]] = {
    "an HTTP server": (plain(NOT_FOUND), 3, "HTTP 404"),
    "a redirect": (plain(REDIRECT), 3, "HTTP 302"),
    "refused": (plain("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), 4, "refused the token"),
    "forbidden": (plain("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), 4, "refused the token"),
    "ssh": (plain("SSH-2.0-OpenSSH_9.2\r\n"), 3, "does not take WebSockets"),
    "garbage": (plain("\x00\xff\x17" * 50), 3, "does not take WebSockets"),
    "nothing": (plain(""), 3, ""),
    "1008": (websocket(close_frame(1008, "invalid_token")), 4, "invalid_token"),
    "1000": (websocket(close_frame(1000, "")), 3, "1000"),
    "1013": (websocket(close_frame(1013, "full")), 3, "1013 full"),
    "4500": (websocket(close_frame(4500, "kicked")), 3, "4500 kicked"),
    "a broken frame": (websocket(b"\xff\xff\xff\xff\xff"), 3, "closed the connection"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_strange_target(tmp_path: Path, quick: str, name: str) -> None:
    answer, code, text = TARGETS[name]
    with target(answer) as url:
        result = rtcli("loadtest", quick, "--url", url, home=tmp_path)
    lines = errors(result)
    assert result.returncode == code, lines
    assert text in lines[0]
    assert (lines[0][:7], lines[1][:6], len(lines)) == ("error: ", "hint: ", 2)


def test_a_target_that_never_answers(tmp_path: Path, quick: str) -> None:
    with target(silence) as url:
        result = rtcli("loadtest", quick, "--url", url, home=tmp_path)
    assert result.returncode == 3
    assert "did not answer within 10 s" in errors(result)[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--workers", "0"], "--workers 0"),
        (["--workers", "many"], "--workers many"),
        (["--users-file", "missing"], "no such file"),
        (["--users-file", "empty"], "there is no token in it"),
        (["--secret-file", "empty"], "the secret is empty"),
        (["--out", "quick.yaml/under"], "quick.yaml/under"),
        (["--set", "roles.reader.users=-1"], "roles.reader.users"),
        (["--threshold", "fanout: p(95) < 1s"], "fanout"),
    ],
)
def test_wrong_options(tmp_path: Path, quick: str, arguments: list[str], text: str) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "empty").chmod(0o600)
    result = rtcli("loadtest", quick, "--url", "http://127.0.0.1:9", *arguments, home=tmp_path)
    assert result.returncode == 2
    assert text in errors(result)[0]


# -- more than the machine can do --------------------------------------------------------------------------


def test_too_few_descriptors_are_told_before_anything_starts(tmp_path: Path, quick: str) -> None:
    limited = ("bash", "-c", 'ulimit -n 100; exec "$0" "$@"', RTCLI)
    result = rtcli(
        "loadtest", quick, "--serve", "--set", "roles.reader.users=200", home=tmp_path, command=limited
    )
    assert result.returncode == 2
    first, second = errors(result)
    assert first.startswith("error: 268 file descriptors are needed in a process and 100 are allowed")
    assert second.startswith("hint: ")


def test_too_few_ports_are_told_before_anything_starts(tmp_path: Path, quick: str) -> None:
    many = ("--set", "roles.reader.users=40000", "--workers", "10")
    result = rtcli("loadtest", quick, "--url", "http://192.0.2.1", *many, home=tmp_path)
    assert result.returncode == 2
    assert "40 004 connections need a local port each and there are" in result.stderr.decode()
    # On loopback there are as many source addresses as anybody wants.
    result = rtcli("loadtest", quick, "--url", "http://127.0.0.1:9", *many, "--dry-run", home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "40 004 local ports; 10 workers" in result.stdout.decode()
