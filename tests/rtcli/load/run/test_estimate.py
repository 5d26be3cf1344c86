"""The estimate of a run, against the arithmetic."""

from __future__ import annotations

import pytest

from rtcli.load.run.estimate import (
    BYTES_OF_COORDINATOR,
    BYTES_PER_USER,
    BYTES_PER_WORKER,
    SPARE_DESCRIPTORS,
    describe_estimate,
    estimate,
)
from rtcli.load.scenario.loader import bundled_names, load_scenario, parse_scenario

BASE = """
name: x
phases:
  - { name: ramp, for: 2s, users: 0 -> 100% }
  - { name: steady, for: 10s }
  - { name: peak, for: 4s, rates: x3 }
  - { name: drain, for: 2s, publish: stop }
audit: { settle: 1s }
"""


def roles(text: str) -> str:
    return BASE + "roles:\n" + text


def test_one_room_multiplies_by_its_members() -> None:
    need = estimate(
        parse_scenario(
            roles(
                "  r: { users: 98, flow: [connect, { join: a }, hold] }\n"
                "  w:\n    users: 2\n"
                "    flow: [connect, { join: a }, { send: { room: a, rate: 5/s, size: 300 } }]\n"
                "  t: { users: 10, protocol: sse, flow: [{ connect: { rooms: [a, b] } }, hold] }\n"
            )
        )
    )
    steady, peak = need.phases[1:3]
    assert (steady.users, steady.sent_per_s, steady.delivered_per_s) == (110, 10, 1100)
    assert peak.delivered_per_s == pytest.approx(3300)
    assert need.phases[3].delivered_per_s == 0
    assert need.connections == 110
    assert need.largest_room == 110
    assert need.sent == pytest.approx(10 * 1 + 10 * 10 + 30 * 4)  # half of the writers' time in the ramp
    assert need.delivered == pytest.approx(1100 * 10 + 3300 * 4 + 1100 * 2 / 3, rel=0.02)
    assert need.received_bytes_per_s == pytest.approx(3300 * 500)
    assert need.memory == 110 * BYTES_PER_USER + BYTES_PER_WORKER + need.coordinator
    assert need.descriptors == 110 + SPARE_DESCRIPTORS
    assert need.duration == 19


def test_skewed_rooms_count_as_they_will_be() -> None:
    text = roles(
        "  r:\n    users: 400\n"
        '    flow: [connect, { join: "${room}" }, { send: { room: "${room}", rate: 1/s } }]\n'
    )
    even = estimate(parse_scenario(text + "data: { room: { gen: 'r{1..20}' } }\n"))
    skewed = estimate(parse_scenario(text + "data: { room: { gen: 'r{1..20}', pick: zipf(1.2) } }\n"))
    single = estimate(parse_scenario(text + "data: { room: { values: [only] } }\n"))
    assert 400 * 15 < even.phases[1].delivered_per_s < 400 * 30
    assert skewed.delivered_per_s > 2 * even.delivered_per_s
    assert single.phases[1].delivered_per_s == pytest.approx(400 * 400)


def test_built_in_names_decide_rooms_too() -> None:
    text = '  r: { users: 100, flow: [connect, { join: "r${mod(user.number, 10)}" }, hold] }\n'
    assert estimate(parse_scenario(roles(text))).largest_room == 10


@pytest.mark.parametrize(
    ("flow", "per_second"),
    [
        ("{ loop: [{ send: a }, { think: 2s }] }", 1 / 2.05),
        ("{ loop: [{ send: { room: a, count: 3 } }, { think: exp(1s) }] }", 3 / 1.05),
        ("{ loop: { times: 4, steps: [{ send: a }, { think: 1s }] } }", 1 / 1.05),
        (
            "{loop: [{choose: [{steps: [{think: 1s}]}, {weight: 3, steps: [{hold: 5s}]}]}, {send: a}]}",
            1 / 4.05,
        ),
        ("{ loop: [{ hold: 2s }, { kill: rst }, { backoff: exp(1s..2s) }, resume, { send: a }] }", 1 / 2.65),
        ("{ send: { room: a, rate: 3/s, count: 6 } }", 3),
        ("hold", 0),
    ],
)
def test_think_times_set_the_pace(flow: str, per_second: float) -> None:
    need = estimate(parse_scenario(roles(f"  r: {{ users: 1, flow: [connect, {{ join: a }}, {flow}] }}\n")))
    assert need.phases[1].sent_per_s == pytest.approx(per_second, rel=0.03)


def test_only_scheduled_sends_are_multiplied_by_a_phase() -> None:
    need = estimate(
        parse_scenario(
            roles("  r: { users: 1, flow: [connect, { join: a }, { loop: [{ send: a }, { think: 1s }] }] }\n")
        )
    )
    assert need.phases[2].sent_per_s == need.phases[1].sent_per_s


def test_those_who_arrive_stay_for_a_while() -> None:
    text = "  v: {{ arrivals: 5/s, stay: {}, flow: [connect, {{ join: a }}, hold] }}\n"
    assert estimate(parse_scenario(roles(text.format("exp(3s)")))).connections == 15
    assert estimate(parse_scenario(roles(text.format("exp(1000s)")))).connections == 5 * 18
    ends = "  v: { arrivals: 2/s, flow: [connect, { join: a }, { hold: 4s }] }\n"
    assert estimate(parse_scenario(roles(ends))).roles["v"] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_scenario_has_an_estimate(name: str) -> None:
    need = estimate(load_scenario(name))
    assert need.delivered > need.sent > 0
    assert any(line.startswith("Delivered") for line in describe_estimate(need))


def test_a_day_needs_little_more_memory_than_an_hour() -> None:
    """Of the rooms, only those that thresholds name count."""
    text = roles(
        "  r:\n    users: 1000\n"
        '    flow: [connect, { join: "${room}" }, { send: { room: "${room}", rate: 1/s } }]\n'
        'data: { room: { gen: "room-{1..10000}", pick: sequence } }\n'
    )
    hour, day = (
        estimate(parse_scenario(text.replace("steady, for: 10s", f"steady, for: {length}"))).coordinator
        for length in ("1h", "24h")
    )
    assert hour < day < hour + 12 * 2**20
    measured = (
        text
        + "thresholds:\n"
        + "".join(f'  "fanout_latency{{room:room-{number}}}": "p(99) < 1s"\n' for number in range(1, 101))
    )
    assert BYTES_OF_COORDINATOR < estimate(parse_scenario(measured)).coordinator < 200 * 2**20
