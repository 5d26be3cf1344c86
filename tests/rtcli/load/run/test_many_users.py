"""Thousands of users in one process: they connect, join and chat, and every delivery is accounted for."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.support.processes.rtcli import rtcli

ROOM_SIZE = 50
MANY = """
name: many
description: Does everyone in a hundred rooms hear everyone?
seed: 1
phases:
  - {{ name: ramp, for: {ramp}s, users: 0 -> 100%, publish: stop }}
  - {{ name: chat, for: {chat}s }}
  - {{ name: drain, for: 1s, publish: stop }}
roles:
  member:
    users: {users}
    flow:
      - connect
      - join: "room-${{mod(user.number, {rooms})}}"
      - wait: {{ barrier: everyone, users: {users}, timeout: 100s }}
      - send: {{ room: "room-${{mod(user.number, {rooms})}}", rate: {rate}/m, spread: poisson }}
"""
log = logging.getLogger(__name__)


@pytest.mark.timeout(240)
def test_thousands_of_users_in_one_process(tmp_path: Path, soak: bool) -> None:
    users, ramp, chat, rate = (5_000, 15, 25, 4) if soak else (500, 2, 5, 12)
    text = MANY.format(users=users, ramp=ramp, chat=chat, rate=rate, rooms=users // ROOM_SIZE)
    (tmp_path / "many.yaml").write_text(text)
    result = rtcli("loadtest", "many.yaml", "--serve", "--json", home=tmp_path, timeout=200)
    assert result.returncode == 0, result.stderr.decode()[-2000:] + result.stdout.decode()[:2000]
    summary = json.loads(result.stdout)
    audit, own = summary["audit"], summary["generator"]
    assert max(row["connections"] for row in summary["timeline"]) == own["users"] == users
    assert audit["subscribers"] == users
    assert audit["counts"]["acknowledged"] == audit["counts"]["sent"] > users / 10
    assert audit["counts"]["delivered"] == audit["counts"]["expected"] == audit["counts"]["sent"] * ROOM_SIZE
    assert own["workers"] == 1
    assert own["cpu_share"] > 0
    assert own["rss"] > 0
    assert own["lag_p99"] is not None
    log.info("%s; %s", own, {name: summary["metrics"][name] for name in ("fanout_latency", "ws_connecting")})
