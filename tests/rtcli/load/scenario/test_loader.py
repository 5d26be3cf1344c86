"""The strict loader: the values that a scenario file gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import jsonschema
import pytest

from rtcli.load.scenario.distributions import Backoff, Exponential, LogNormal, Uniform, Zipf
from rtcli.load.scenario.grammar.document import json_schema
from rtcli.load.scenario.loader import (
    ScenarioError,
    bundled_names,
    hides_bundled,
    load_scenario,
    parse_scenario,
    read_source,
)
from rtcli.load.scenario.model import Cut, Ramp
from rtcli.load.scenario.nodes import to_plain
from rtcli.load.scenario.steps import BackoffStep, Hold, Http, Join, Kill, KillStep, Loop, Resume, Send, Think
from rtcli.load.scenario.yaml import compose
from tests.support.load.scenario_texts import EVENING, SMALL, mistakes, with_step

BUNDLED = ["chat-rooms", "fanout", "mixed", "reconnect-storm", "slow-consumer", "smoke", "sse-resume"]


def test_a_long_example_gives_the_values_that_it_names() -> None:
    scenario = parse_scenario(EVENING, "evening.yaml")
    assert scenario.duration == 65
    ramp, steady, peak, storm, drain = scenario.phases
    assert ramp.users == Ramp(0, 1)
    assert steady.users == Ramp(1, 1)
    assert peak.rates == 4
    assert storm.cut == Cut(("reader",), 0.5, Kill.RST)
    assert not drain.publish
    visitor = scenario.roles["visitor"]
    assert visitor.arrivals == 5
    assert visitor.stay == Exponential(20)
    loop = visitor.flow[2]
    assert isinstance(loop, Loop)
    think = loop.steps[1]
    assert isinstance(think, Think)
    assert think.time == LogNormal(3, 0.8)
    hold, kill, backoff, resume = scenario.roles["flaky"].flow[2].steps  # type: ignore[union-attr]
    assert isinstance(hold, Hold)
    assert hold.time == Uniform(3, 8)
    assert isinstance(kill, KillStep)
    assert isinstance(backoff, BackoffStep)
    assert backoff.backoff == Backoff(0.25, 5)
    assert isinstance(resume, Resume)
    assert scenario.roles["slow"].read == 2048
    assert scenario.roles["slow"].expect_close == {4001}
    assert scenario.roles["tail"].protocol == "sse"
    assert scenario.data["room"].pick == Zipf(1.1)
    assert len(scenario.data["room"].rows) == 20
    assert scenario.data["text"].lorem == (8, 40)
    assert scenario.data["text"].each == "use"
    assert [spec.selector for spec in scenario.thresholds][1] == "fanout_latency{phase:storm}"
    assert scenario.thresholds[0].bound == 0.25


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_scenarios_are_valid_and_open_with_their_question(name: str) -> None:
    text, _base = read_source(name)
    assert text.startswith("# ")
    assert text.partition("\n")[0].endswith("?")
    scenario = load_scenario(name)
    assert scenario.name == name
    assert not scenario.path  # there is no file to annotate
    assert scenario.description.endswith("?")
    assert len(scenario.thresholds) >= 3
    assert scenario.phases[-1].publish is False


def test_all_bundled_scenarios_are_found() -> None:
    assert bundled_names() == BUNDLED


@pytest.mark.parametrize("text", [EVENING, SMALL, *(read_source(name)[0] for name in BUNDLED)])
def test_what_loads_satisfies_the_published_schema(text: str) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    node, _ = compose(text)
    assert node is not None
    jsonschema.validate(to_plain(node), schema)


@pytest.mark.parametrize(
    "change",
    [("name: small", "nam: small"), ("users: 1", "users: lots"), ("hold]", "hld]"), ("for: 1s", "for: soon")],
)
def test_the_schema_refuses_what_the_loader_refuses(change: tuple[str, str]) -> None:
    text = SMALL.replace(*change)
    assert mistakes(text)
    node, _ = compose(text)
    assert node is not None
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(to_plain(node), json_schema())


def test_a_scenario_can_be_pickled() -> None:
    for name in BUNDLED:
        scenario = load_scenario(name)
        assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301 - our own


def test_a_phase_keeps_the_level_of_the_one_before() -> None:
    text = SMALL.replace(
        "[{ name: steady, for: 1s }]",
        "[{name: a, for: 1s, users: 0 -> 50%}, {name: b, for: 1s, users: {reader: 20%}}, {name: c, for: 1s}]",
    )
    a, b, c = parse_scenario(text).phases
    assert a.ramp("reader") == Ramp(0, 0.5)
    assert b.ramp("reader") == Ramp(0.2, 0.2)
    assert b.ramp("other") == Ramp(0.5, 0.5)
    assert c.ramp("reader") == Ramp(0.2, 0.2)


def test_steps_know_their_place_in_flow_and_file() -> None:
    step = parse_scenario(with_step("{ loop: [{ send: a }, { think: 1s }] }")).roles["reader"].flow[2]
    assert isinstance(step, Loop)
    assert [inner.label for inner in step.steps] == ["3.1.send", "3.2.think"]
    send = step.steps[0]
    assert isinstance(send, Send)
    assert send.location is not None
    assert (send.location.line, send.location.column) == (4, 63)


def test_short_and_long_forms_mean_the_same() -> None:
    short = parse_scenario(SMALL).roles["reader"].flow[1]
    long = parse_scenario(SMALL.replace("join: a", "join: { room: a }")).roles["reader"].flow[1]
    assert isinstance(short, Join)
    assert isinstance(long, Join)
    assert short.room == long.room


def test_commas_inside_parentheses_do_not_need_quotes() -> None:
    think = parse_scenario(with_step("{ think: uniform(1s,   2s) }")).roles["reader"].flow[2]
    assert isinstance(think, Think)
    assert think.time == Uniform(1, 2)


def test_the_digest_tells_whether_runs_can_be_compared() -> None:
    digest = parse_scenario(SMALL).digest
    assert parse_scenario(SMALL + "description: other words\n# a comment\n").digest == digest
    assert parse_scenario(SMALL + "thresholds: { lost: 'count == 0' }\n").digest == digest
    assert parse_scenario(SMALL, overrides=["roles.reader.users=2"]).digest != digest


def test_data_files_are_read_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("name,room\nann,a\nbob,b\n", encoding="utf-8")
    (tmp_path / "texts.json").write_text('["x", "y"]', encoding="utf-8")
    path = tmp_path / "s.yaml"
    data = "data: { person: { csv: users.csv, pick: unique }, word: { json: texts.json } }\n"
    flow = with_step("{ log: '${person.name} ${word}' }")
    path.write_text(flow + data, encoding="utf-8")
    scenario = load_scenario(str(path))
    assert scenario.data["person"].rows == ({"name": "ann", "room": "a"}, {"name": "bob", "room": "b"})
    path.write_text(
        flow.replace("person.name", "person.nme").replace("users: 1", "users: 3") + data, encoding="utf-8"
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))
    text = str(caught.value)
    assert "there is no 'nme' in the data; it has: name, room" in text
    assert "'person' has 2 rows for 3 users" in text


EVERYTHING = """\
name: everything
seed: 0
target:
  url: http://127.0.0.1:1
  headers: { X-Run: "${run}" }
  serve: { history_size: 10, store: "memory:" }
phases:
  - { name: one, for: 500ms, users: { other: 0 }, rates: x0.5 }
  - name: two
    for: 1m
    cut: { roles: other, share: 12.5%, how: blackhole, at: 1s }
roles:
  everyone:
    users: 4
    reconnect: never
    expect_close: 4001
    flow:
      - connect: { path: "/x", headers: { X-User: "${user.id}" }, events: true, timeout: 1s }
      - join: { room: "${word}", history: 5, timeout: 2s }
      - send: { room: "${word}", text: "hi ${upper(word)}", size: 40, ack: false, audit: false, count: 2 }
      - send: { room: "${word}", rate: 30/m, spread: poisson, for: "exp(2s)" }
      - typing: { room: "${word}", is_typing: false, rate: 1/s, count: 3 }
      - expect:
          { type: x, where: { data.a: "1" }, contains: y, within: 1s, count: 2, capture: { got: data.b } }
      - expect: { contains: z, not: true }
      - log: "${session.got} ${loop}"
      - wait: { barrier: all, users: 4, timeout: 5s }
      - wait: { phase: two }
      - signal: go
      - http:
          method: POST
          path: /api
          json: { a: [1, 2.5, true, null, "${word}", "007"], b: { c: text } }
          status: [201, 409]
          headers: { X-A: b }
          capture: { id: data.id }
      - http: { path: "/x/${session.id}", status: 204 }
      - choose:
          - { weight: 2.5, steps: [{ think: pareto(1s, 1.5) }] }
          - steps: [{ hold: normal(1s, 100ms) }]
      - leave: { room: "${word}" }
      - disconnect: { code: 1001, reason: bye }
      - backoff: { base: 100ms, cap: 2s, jitter: false }
      - resume: { expect: fresh, timeout: 3s }
      - loop: { times: 2, steps: [{ kill: fin }, { backoff: 1s }, { resume: any }] }
      - loop: { for: uniform(1s..2s), steps: [{ think: const(1s) }] }
      - disconnect
  other:
    arrivals: 6/m
    spread: even
    stay: 10s
    protocol: rtcli
    flow: [connect, { wait: { signal: go } }, { disconnect: 1000 }]
data:
  word: { values: [a, b, 7], pick: sequence, each: user }
audit: { delivery: at-least-once, order: none, late_after: 0s, gaps: allow, self_echo: false, evidence: 0 }
thresholds:
  close{code:1001,role:everyone}:
    - { expr: "count > 0", abort: true, after: 3s, strict: false, no_data: pass }
  data_sent: "rate < 1MiB/s"
"""


def test_the_whole_language_in_full_is_read_and_satisfies_the_schema() -> None:
    scenario = parse_scenario(EVERYTHING)
    flow = {step.label.partition(".")[2]: step for step in scenario.roles["everyone"].flow}
    http = scenario.roles["everyone"].flow[11]
    assert isinstance(http, Http)
    tree = http.json
    assert isinstance(tree, dict)
    assert [str(value) for value in tree["a"]] == ["1", "2.5", "True", "None", "${word}", "007"]
    assert http.status == {201, 409}
    assert {"wait", "signal", "choose", "kill"} - set(flow) == {"kill"}
    assert scenario.roles["everyone"].reconnect is None
    assert scenario.roles["other"].arrivals == pytest.approx(0.1)
    assert scenario.target.serve == {"history_size": 10, "store": "memory:"}
    assert scenario.thresholds[0].abort
    assert scenario.thresholds[0].no_data == "pass"
    assert scenario.phases[0].ramp("other") == Ramp(0, 0)
    assert scenario.phases[0].ramp("everyone") == Ramp(1, 1)
    node, _ = compose(EVERYTHING)
    assert node is not None
    jsonschema.validate(to_plain(node), json_schema())
    assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301 - our own


def test_a_directory_does_not_hide_a_bundled_scenario_and_a_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundled, _ = read_source("smoke")
    (tmp_path / "smoke").mkdir()
    assert not hides_bundled("smoke")
    assert read_source("smoke") == (bundled, None)
    (tmp_path / "smoke").rmdir()
    (tmp_path / "smoke").write_text("name: mine\n")
    assert hides_bundled("smoke")
    assert read_source("smoke")[0] == "name: mine\n"
    (tmp_path / "other").mkdir()
    with pytest.raises(ScenarioError, match="it is a directory"):
        read_source("other")
