"""Reports for browsers, pull requests, CI systems and Prometheus."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtcli.load.reporters import github, markdown, prometheus
from rtcli.load.reporters.html import page as html
from rtcli.load.reporters.html import svg
from rtcli.load.results.model import RunResult, Verdict
from tests.support.load.sample_results import EVIL, LOSS, audit, failing, passing, result, threshold

HOSTILE = replace(
    failing(),
    scenario=EVIL,
    description=EVIL,
    scenario_text=f"{EVIL}\n</pre><script>alert(1)</script>\n",
    reasons=(EVIL,),
    notes=(EVIL,),
    environment={EVIL: EVIL},
    target=EVIL,
)


class Page(HTMLParser):
    """Collects the tags of a page and checks that they close in order."""

    _void = frozenset({"meta", "line", "polyline", "circle", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self._void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(run: RunResult) -> Page:
    page = Page()
    page.feed(html.render(run))
    page.close()
    assert page.open == []
    return page


@pytest.mark.parametrize(
    "run", [passing(), failing(), HOSTILE, replace(passing(), audit=None, timeline=(), metrics={})]
)
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(run: RunResult) -> None:
    page = parse(run)
    assert not {"script", "link", "img", "iframe", "b\x1b"} & set(page.seen)
    assert not [value for name, value in page.attributes if name in {"src", "href"} or name.startswith("on")]
    assert len(html.render(run).encode()) < 2_000_000


def test_the_verdict_comes_first_and_what_went_wrong_before_the_plots() -> None:
    text = html.render(failing())
    places = [
        text.index(part)
        for part in ("<h1>FAILED", "Accounts</h2>", "Deliveries</h2>", "What went wrong", "Over time")
    ]
    assert places == sorted(places)
    assert "writer 3 #41837" in text
    assert "yellow seconds are those in which it was the bottleneck" in text
    assert text.count('class="f"') == 4  # the flagged second, under each plot


def test_hostile_text_does_nothing() -> None:
    text = html.render(HOSTILE)
    assert "<b>&\\x1b" not in text
    assert "&lt;b&gt;&amp;\\x1b[31m\\u202e\\x00" in text
    assert "<script" not in text
    for rendered in (text, markdown.render(HOSTILE), github.render(HOSTILE)):
        assert not set("\x1b\u202e\x00") & set(rendered) or rendered is not text


def test_the_largest_report_stays_small() -> None:
    frames = LOSS.frames * 16
    run = result(audited=audit((replace(LOSS, frames=frames),) * 5_000, lost=5_000))
    long = replace(run, timeline=[*run.timeline] * 300, scenario_text="x\n" * 100_000)
    text = html.render(long)
    assert len(text.encode()) < 2_000_000
    assert "4800 more are in evidence.ndjson" in text


def test_plots_of_little_or_nothing() -> None:
    assert svg.linear([]).high == 1
    assert svg.linear([0.0, None]).high == 1
    assert svg.linear([3.0]).high == 5
    assert svg.logarithmic([0.0, None]).low == pytest.approx(0.001)
    assert "circle" in svg.timeline(
        passing().timeline[:1], [svg.Line("x", "c1", [1.0])], svg.linear([1.0]), str
    )
    assert "svg" in svg.spectrum([], str)


def test_markdown_says_the_same() -> None:
    text = markdown.render(failing())
    assert text.startswith("## ❌ evening: failed\n")
    assert "| ❌ | fanout\\_latency\\{phase:storm\\} p\\(99\\) \\< 250ms | 400 ms | it was 400 ms |" in text
    assert "**37 lost**: all in lobby, within 420 ms of a resume" in text
    assert markdown.render(passing()).startswith("## ✅ evening: passed\n")
    assert len(markdown.render(replace(failing(), timeline=[*failing().timeline] * 1000)).encode()) < 20_000


def test_sparklines() -> None:
    assert markdown.sparkline([]) == ""
    assert markdown.sparkline([0.0, None, 1.0]) == "▁ █"
    assert len(markdown.sparkline([1.0] * 1000)) <= 60


def test_annotations_stand_on_the_thresholds_own_line() -> None:
    lines = github.render(failing()).splitlines()
    assert lines[0] == "::error title=37 lost::all in lobby, within 420 ms of a resume"
    assert lines[1].startswith(
        "::error file=evening.yaml,line=31,col=9,title=fanout_latency{phase%3Astorm} p(99) < 250ms"
    )
    assert lines[1].endswith("::failed: it was 400 ms")
    assert github.render(passing()) == ""


def test_annotations_are_limited_and_escaped() -> None:
    many = tuple(threshold("failed", reason="50 %\nworse", strict=number > 0) for number in range(15))
    lines = github.render(replace(passing(), thresholds=many)).splitlines()
    assert len(lines) == 11
    assert lines[9] == "::error title=load test::5 more are in the report"
    assert lines[0].endswith("::failed: 50 %25%0Aworse")
    assert lines[10].startswith("::warning ")
    interrupted = replace(passing(), verdict=Verdict.INTERRUPTED, reasons=("it was interrupted",))
    assert github.render(interrupted) == "::error title=load test interrupted::it was interrupted\n"


def test_prometheus_can_read_it() -> None:
    text = prometheus.render(replace(failing(), scenario='a"b\\c'))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    latency = families["rtcli_loadtest_fanout_latency_seconds"]
    assert latency.type == "summary"
    quantiles = {
        sample.labels.get("quantile"): sample.value
        for sample in latency.samples
        if "phase" not in sample.labels
    }
    assert quantiles["0.99"] == 0.2
    assert {sample.labels["scenario"] for sample in latency.samples} == {'a"b\\c'}
    assert {sample.labels["phase"] for sample in latency.samples if "phase" in sample.labels} == {"storm"}
    assert families["rtcli_loadtest_lost"].samples[0].value == 37
    assert families["rtcli_loadtest_checks_ratio"].samples[0].value == pytest.approx(0.995)
    assert families["rtcli_loadtest_passed"].samples[0].value == 0
    assert not re.search(r"\bnan\b|None", text)


def test_github_actions_is_told_and_nobody_else(tmp_path: Path) -> None:
    said: list[str] = []
    summary = tmp_path / "summary.md"
    github.announce(failing(), {}, said.append)
    assert said == []
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    github.announce(failing(), env, said.append)
    github.announce(passing(), env, said.append)
    assert len(said) == 1
    assert said[0].startswith("::error ")
    assert summary.read_text(encoding="utf-8").count("## ") == 2
    github.announce(passing(), {**env, "GITHUB_STEP_SUMMARY": str(tmp_path)}, said.append)
    assert said[-1] == "the step summary cannot be written: is a directory, not a regular file"
    github.announce(passing(), {"GITHUB_ACTIONS": "true"}, said.append)
