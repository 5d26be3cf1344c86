"""Scenarios that the tests of the loader read, and how they ask for the mistakes in them."""

from __future__ import annotations

import pytest

from rtcli.load.scenario.loader import (
    ScenarioError,
    parse_scenario,
)
from rtcli.load.scenario.model import Scenario

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
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "x.yaml", **options)  # type: ignore[arg-type]
    return caught.value.lines()


def with_step(step: str) -> str:
    return SMALL.replace("hold]", f"{step}]")


def steps_of(text: str) -> Scenario:
    return parse_scenario(text, "x.yaml")
