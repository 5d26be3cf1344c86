"""The strict loader: what a scenario means, and that every mistake in it is found at once with its place."""

from __future__ import annotations

import pickle
from pathlib import Path

import jsonschema
import pytest

from rtcli.load.distributions import Backoff, Exponential, LogNormal, Uniform, Zipf
from rtcli.load.scenario import Cut, Ramp, Scenario
from rtcli.load.scenario_grammar import json_schema
from rtcli.load.scenario_loader import (
    ScenarioErrors,
    bundled_names,
    load_scenario,
    parse_scenario,
    read_source,
)
from rtcli.load.scenario_plain import to_plain
from rtcli.load.scenario_steps import BackoffStep, Hold, Http, Join, Kill, KillStep, Loop, Resume, Send, Think
from rtcli.load.scenario_yaml import compose

BUNDLED = ["chat-rooms", "fanout", "mixed", "reconnect-storm", "slow-consumer", "smoke", "sse-resume"]

EVENING = """\
name: chat-evening
description: 500 readers and 5 writers in one room; every message must arrive once, in order.
seed: 42
target: { protocol: rtcli }            # rtcli | json | sse
phases:
  - { name: ramp,  for: 10s, users: 0 -> 100% }
  - { name: steady, for: 30s }
  - { name: peak,  for: 10s, rates: x4 }
  - { name: storm, for: 10s, cut: { roles: [reader], share: 50%, how: rst } }
  - { name: drain, for: 5s,  publish: stop }
roles:
  reader:  { users: 500, flow: [connect, { join: lobby }, hold] }
  writer:
    users: 5
    flow: [connect, { join: lobby }, { send: { room: lobby, rate: 2/s } }]
  visitor:
    arrivals: 5/s                      # open model, Poisson
    stay: exp(20s)
    flow: [connect, { join: "${room}" }, { loop: [{ send: { room: "${room}", text: "${text}" } }, \
{ think: lognormal(3s, 0.8) }] }]
  tail:    { users: 100, protocol: sse, flow: [{ connect: { rooms: [lobby] } }, hold] }
  flaky:   { users: 20, flow: [connect, { join: lobby }, { loop: [{ hold: uniform(3s, 8s) }, { kill: rst }, \
{ backoff: exp(250ms..5s) }, resume] }] }
  slow:    { users: 5, read: 2KiB/s, flow: [connect, { join: lobby }, hold], expect_close: [4001] }
data:
  room: { gen: "room-{1..20}", pick: zipf(1.1) }
  text: { lorem: 8..40 }
audit: { delivery: exactly-once, order: per-room, late_after: 2s }
thresholds:
  fanout_latency: ["p(99) < 250ms"]
  fanout_latency{phase:storm}: ["p(99) < 2s"]
  lost: ["count == 0"]
  recovery_time: ["p(99) < 5s"]
"""

SMALL = """\
name: small
phases: [{ name: steady, for: 1s }]
roles:
  reader: { users: 1, flow: [connect, { join: a }, hold] }
"""


def mistakes(text: str, **options: object) -> list[str]:
    with pytest.raises(ScenarioErrors) as caught:
        parse_scenario(text, "x.yaml", **options)  # type: ignore[arg-type]
    return caught.value.lines()


def with_step(step: str) -> str:
    return SMALL.replace("hold]", f"{step}]")


def steps_of(text: str) -> Scenario:
    return parse_scenario(text, "x.yaml")


def test_the_example_of_the_design_means_what_it_says() -> None:
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


def test_a_scenario_survives_the_way_to_a_worker() -> None:
    for name in BUNDLED:
        scenario = load_scenario(name)
        assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301 - our own


def test_every_mistake_is_reported_at_once_with_its_place() -> None:
    text = (
        EVENING.replace("seed: 42", "sed: 42")
        .replace("users: 500", "users: -500")
        .replace("roles: [reader]", "roles: [raeder]")
        .replace('"${text}"', '"${txt}"')
        .replace("  fanout_latency:", "  fanout_latncy:")
        .replace("p(99) < 5s", "p(199) < 5s")
        .replace("for: 5s", "for: -5s")
    )
    assert mistakes(text) == [
        "x.yaml:3:1: a scenario has no 'sed'; did you mean 'seed'?",
        "x.yaml:9:45: there is no role 'raeder'; did you mean 'reader'?",
        "x.yaml:10:25: for: '-5s': a duration cannot be negative",
        "x.yaml:12:21: users: -500 is out of range: 1 to 1000000",
        "x.yaml:19:84: ${txt}: there is no 'txt'; did you mean 'text'?",
        "x.yaml:28:3: there is no metric 'fanout_latncy'; did you mean 'fanout_latency'?",
        "x.yaml:31:19: p(199) is not a percentile: 0 to 100",
    ]


def test_three_mistakes_are_three_lines() -> None:
    text = "name: x\nrols: {}\nphases: [{name: a, for: 3}]\n"
    assert mistakes(text) == [
        "x.yaml:1:1: a scenario needs 'roles'",
        "x.yaml:2:1: a scenario has no 'rols'; did you mean 'roles'?",
        "x.yaml:3:25: for: '3' is not a duration: write 3s",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("name: small", "name: ''"), "'' is not a name"),
        (("name: small", "name: [a]"), "expected a name"),
        (("name: small", "name:"), "got nothing"),
        (("users: 1,", "users: 1.5,"), "expected a whole number"),
        (("users: 1,", "users: '1',"), "expected a whole number"),
        (("users: 1,", "users: .nan,"), "expected a whole number"),
        (("users: 1,", "users: 99999999999999999999,"), "expected a whole number"),
        (("users: 1,", ""), "either `users`"),
        (("users: 1,", "users: 1, arrivals: 2/s,"), "not both"),
        (("users: 1,", "users: 1, stay: 3s,"), "`stay` and `spread` are for roles with `arrivals`"),
        (("users: 1,", "arrivals: 0/s,"), "must be more than 0"),
        (("users: 1,", "arrivals: 2,"), "write 2/s"),
        (("users: 1,", "arrivals: 2/s,"), "keep arriving and never go"),
        (("users: 1,", "users: 1, protocol: mqtt,"), "'mqtt' is not possible here"),
        (("users: 1,", "users: 1, read: 2KiB,"), "write 2KiB/s"),
        (("users: 1,", "users: 1, expect_close: [99],"), "99 is out of range"),
        (("users: 1,", "users: 1, reconnect: sometimes,"), "'sometimes'"),
        (("for: 1s", "for: 0s"), "must be more than 0"),
        (("for: 1s", "for: .inf"), "'.inf' is not a duration"),
        (("for: 1s", "for: 1s, users: 3"), "a share, like 0 -> 100%"),
        (("for: 1s", "for: 1s, users: 0 -> 130%"), "at most 100%"),
        (("for: 1s", "for: 1s, users: 0 -> 10% -> 20%"), "a phase for each further stage"),
        (("for: 1s", "for: 1s, rates: 4"), "write x4"),
        (("for: 1s", "for: 1s, publish: maybe"), "'maybe' is not possible here"),
        (("for: 1s", "for: 1s, cut: { roles: [reader], at: 2s }"), "when the phase is over"),
        (("for: 1s", "for: 1s, cut: { roles: [] }"), "at least one item"),
        (("for: 1s", "for: 1s, cut: { roles: [reader], share: 0% }"), "more than 0%"),
        (("for: 1s", "for: 1s, users: { ghost: 50% }"), "there is no role 'ghost'"),
        (("phases: [{ name: steady, for: 1s }]", "phases: []"), "at least one item"),
        (("phases: [{ name: steady, for: 1s }]", "phases: steady"), "expected a list, got 'steady'"),
        ((" }]", " }, { name: steady, for: 1s }]"), "there are two phases 'steady'"),
        (("connect, ", ""), "'join' needs a connection: put 'connect' before it"),
        (("connect, { join: a }, hold", "{ log: x }"), "its flow never connects"),
        (("hold]", "hold, { leave: a }]"), "nothing comes after 'hold', which never ends"),
        (("join: a", "join: 'a b'"), "'a b' cannot be the name of a room"),
        (("hold]", "{ send: b }]"), "only a member may; put { join: b } before it"),
        (("hold]", "connect]"), "'connect' while connected"),
        (("hold]", "resume]"), "'resume' needs a connection that was lost"),
        (("hold]", "{ kill: rst }, { leave: a }]"), "'leave' needs a connection"),
        (("hold]", "{ kill: hard }]"), "'hard' is not possible here"),
        (("hold]", "hould]"), "there is no step 'hould'; did you mean 'hold'?"),
        (("hold]", "{ send: a, think: 1s }]"), "one step per item of the list, got 'send', 'think'"),
        (("hold]", "send]"), "'send' alone is not enough"),
        (("hold]", "{ send: { room: a, for: 3s } }]"), "need a `rate`"),
        (("hold]", "{ think: zipf(1.1) }]"), "zipf draws from a list"),
        (("hold]", "{ think: unifrom(1s, 2s) }]"), "did you mean 'uniform'"),
        (("hold]", "{ think: uniform(2s, 1s) }]"), "the larger comes last"),
        (("hold]", "{ think: lognormal(2s, 0) }]"), "must be more than 0"),
        (("hold]", "{ backoff: exp(5s..1s) }]"), "one that is not shorter"),
        (("hold]", "{ loop: [{ log: x }] }]"), "a loop without any pause"),
        (("hold]", "{ loop: { times: 2, for: 3s, steps: [{ think: 1s }] } }]"), "not both"),
        (("hold]", "{ loop: [{ think: 1s }, { kill: rst }] }]"), "the next begins with one"),
        (("hold]", "{ choose: [{ steps: [{ think: 1s }] }] }]"), "expected 2 items"),
        (
            ("hold]", "{ choose: [{ steps: [{ kill: rst }] }, { steps: [{ think: 1s }] }] }]"),
            "some ways of 'choose'",
        ),
        (("hold]", "{ wait: { signal: go } }]"), "nobody gives the signal 'go'"),
        (("hold]", "{ wait: { phase: stedy } }]"), "did you mean 'steady'"),
        (("hold]", "{ wait: { signal: go, phase: steady } }]"), "exactly one of"),
        (("hold]", "{ wait: { barrier: b, users: 7 } }]"), "waits for 7 users, and there are 1"),
        (("hold]", "{ wait: { barrier: b } }]"), "belong together"),
        (("hold]", "{ expect: { within: 2s } }]"), "at least one of `type`"),
        (("hold]", "{ expect: { type: x, not: true, capture: { a: b } } }]"), "nothing to capture"),
        (("hold]", "{ expect: { type: x, not: yes } }]"), "expected true or false, got 'yes'"),
        (("hold]", "{ log: '${session.x}' }]"), "nothing captures 'x'"),
        (("hold]", "{ log: '${user.nme}' }]"), "did you mean 'name'"),
        (("hold]", "{ log: '${role.x}' }]"), "role has no parts"),
        (("hold]", "{ log: '${nope(1)}' }]"), "there is no function 'nope'"),
        (("hold]", "{ log: '${mod(1)}' }]"), "1 arguments do not fit mod"),
        (("hold]", "{ log: '${room' }]"), "no closing }"),
        (("hold]", "{ http: { path: /x, method: LOOK } }]"), "'LOOK' is not possible here"),
        (("hold]", "{ join: a, }, hold"), "x.yaml"),
    ],
)
def test_a_mistake_is_named(change: tuple[str, str], expected: str) -> None:
    found = mistakes(SMALL.replace(*change))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("data: { a: { lorem: 5, gen: 'x{1..2}' } }", "exactly one of"),
        ("data: { a: {} }", "exactly one of"),
        ("data: { user: { lorem: 5 } }", "'user' is a built-in name"),
        ("data: { a: { gen: nothing } }", "generates nothing"),
        ("data: { a: { gen: 'x{1..9999999}' } }", "more than"),
        ("data: { a: { gen: 'x{5..1}' } }", "generates no row"),
        ("data: { a: { lorem: 9..2 } }", "at least 1 word"),
        ("data: { a: { values: [] } }", "at least one item"),
        ("data: { a: { values: [x], pick: often } }", "'often' is not a way to pick"),
        ("data: { a: { values: [x], pick: unique, each: use } }", "does not go with"),
        ("data: { a: { csv: missing.csv } }", "cannot read"),
        ("audit: { delivery: always }", "'always' is not possible here"),
        ("audit: { late_after: -1s }", "cannot be negative"),
        ("audit: [a]", "expected a mapping"),
        ("thresholds: { lost: [] }", "expected a threshold"),
        ("thresholds: { lost: 'p(99) < 2s' }", "is a counter and has no p"),
        ("thresholds: { fanout_latency: 'p(99) < 250' }", "write 250s"),
        ("thresholds: { fanout_latency: 'p(99) is small' }", "is not a threshold"),
        ("thresholds: { 'lost{fase:x}': 'count == 0' }", "did you mean 'phase'"),
        ("thresholds: { 'lost{phase:x}': 'count == 0' }", "there is no phase 'x'"),
        ("thresholds: { 'lost{role:reder}': 'count == 0' }", "did you mean 'reader'"),
        ("thresholds: { 'lost{phase}': 'count == 0' }", "is not a tag"),
        ("thresholds: { lost: [{ expr: 'count == 0', abrt: true }] }", "did you mean 'abort'"),
        ("thresholds: { lost: [{ abort: true }] }", "needs 'expr'"),
        ("thresholds: lost", "expected a mapping of metrics"),
        ("target: { protocol: json }", "belong together"),
        ("target: { url: 'ftp://x' }", "is not an address"),
        ("target: { serve: { a: [1] } }", "expected a single value"),
    ],
)
def test_a_mistake_in_another_section_is_named(section: str, expected: str) -> None:
    found = mistakes(SMALL + section + "\n")
    assert any(expected in line for line in found), found


def test_a_wrong_phase_does_not_make_its_name_unknown() -> None:
    text = SMALL.replace("for: 1s", "for: 1") + "thresholds: { 'lost{phase:steady}': 'count == 0' }\n"
    assert mistakes(text) == ["x.yaml:2:31: for: '1' is not a duration: write 1s"]


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


def test_values_can_be_changed_from_outside() -> None:
    scenario = parse_scenario(
        EVENING,
        overrides=["roles.reader.users=3", "phases.storm.for=1s", "phases.0.users=50%", "audit.settle=1s"],
    )
    assert scenario.roles["reader"].users == 3
    assert scenario.phases[3].duration == 1
    assert scenario.phases[0].users == Ramp(0.5, 0.5)
    assert scenario.audit.settle == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("roles.reader.usrs=3", "--set roles.reader.usrs: a role has no 'usrs'; did you mean 'users'?"),
        ("roles.reader.users=x", "--set roles.reader.users: users: expected a whole number, got 'x'"),
        (
            "phases.stom.for=1s",
            "--set phases.stom.for: there is no item 'stom' in a list of 5; did you mean 'storm'?",
        ),
        ("seed.x=1", "--set seed.x: 'x': there is a single value here, and nothing below it"),
        ("seed", "--set seed: write --set path=value, like --set roles.reader.users=50"),
        ("seed=!!python/object:os.system x", "--set seed: tags are not allowed"),
        ("seed=[", "--set seed: "),
    ],
)
def test_a_wrong_change_names_the_option(change: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in mistakes(EVENING, overrides=[change]))


def test_thresholds_can_be_added_from_outside() -> None:
    scenario = parse_scenario(
        SMALL, thresholds=["lost: count == 0", "fanout_latency{role:reader} p(95) < 1s"]
    )
    assert [(spec.selector, spec.text) for spec in scenario.thresholds] == [
        ("lost", "count == 0"),
        ("fanout_latency{role:reader}", "p(95) < 1s"),
    ]
    assert mistakes(SMALL, thresholds=["lst: count == 0"])[0].startswith(
        "--threshold 'lst: count == 0': there is no"
    )


def test_the_digest_says_whether_runs_can_be_compared() -> None:
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
    with pytest.raises(ScenarioErrors) as caught:
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


def test_whole_sections_can_be_changed_from_outside() -> None:
    changes = ["roles.reader={users: 2, flow: [connect, {join: b}, hold]}", "audit.settle=2s", "description="]
    with pytest.raises(ScenarioErrors, match="--set description: description: expected a text, got nothing"):
        parse_scenario(SMALL, overrides=changes)
    scenario = parse_scenario(SMALL, overrides=changes[:2])
    assert scenario.roles["reader"].users == 2
    assert scenario.audit.settle == 2
    last = parse_scenario(SMALL, overrides=["roles.reader.flow.1={join: c}", "phases=[{name: z, for: 2s}]"])
    assert last.phases[0].name == "z"


def test_what_is_inside_a_replacement_is_blamed_on_the_option() -> None:
    found = mistakes(SMALL, overrides=["phases=[{name: z, fr: 2s}]", "a=1: 2: 3", "b=*x"])
    assert [line.partition(":")[0] for line in found] == ["--set a", "--set b", *["--set phases"] * 2]
