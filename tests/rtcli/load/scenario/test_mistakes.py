"""Every mistake in a scenario is found at once, with its place."""

from __future__ import annotations

import pytest

from rtcli.load.scenario.nodes import did_you_mean
from tests.support.load.scenario_texts import EVENING, SMALL, mistakes


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
        (("users: 1,", "users: 1, expect_close: stream_end,"), "expected a whole number"),
        (("users: 1,", "users: 1, expect_close: stream_ended,"), "is the end of an event stream"),
        (
            ("users: 1,", "users: 1, protocol: sse, expect_close: 1006,"),
            "an event stream has no close code 1006: its end is 'stream_ended' or 'stream_broken'",
        ),
        (
            ("hold]", "{ loop: [{ send: a }, { think: 1s }, disconnect, { think: 1s }, resume] }]"),
            "'send': only a member may; put { join: a } before it",
        ),
        (("users: 1,", "users: 1, expect_errors: [],"), "at least one item"),
        (("users: 1,", "users: 1, expect_errors: 'a b',"), "'a b' is not the code of an error"),
        (("users: 1,", "users: 1, expect_errors: [{ share: 10% }],"), "an expected error needs 'code'"),
        (("users: 1,", "users: 1, expect_errors: [{ code: x, shrae: 10% }],"), "did you mean 'share'"),
        (("users: 1,", "users: 1, expect_errors: [{ code: x, share: 0% }],"), "more than 0%"),
        (("users: 1,", "users: 1, expect_errors: [{ code: x, phase: stedy }],"), "did you mean 'steady'"),
        (("users: 1,", "users: 1, expect_erors: [x],"), "did you mean 'expect_errors'"),
        (("phases:", "sends: of\nphases:"), "'of' is not possible here; did you mean 'off'"),
        (("phases:", "send: off\nphases:"), "did you mean 'sends'"),
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
        (("join: a", "join: 'a  b'"), "'a  b' cannot be the name of a room"),
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
        ("thresholds: { lost: 'count < 0' }", "x.yaml:5:21: 'count < 0' can never hold"),
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


def test_a_near_word_is_suggested() -> None:
    assert did_you_mean("jon", ["join", "leave"]) == "; did you mean 'join'?"
    assert did_you_mean("xyz", ["join", "leave"]) == ""
