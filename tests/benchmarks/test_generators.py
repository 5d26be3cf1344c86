"""The server whose frames differ for each receiver, and what the generators are told of a workload."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.server import serve

from benchmarks.generators.tools import TOOLS, Task
from benchmarks.generators.workloads import WORKLOADS, Workload
from benchmarks.peers import PEERS
from benchmarks.servers.numbered import Chat
from rtcli.load.scenario.model import Scenario
from tests.support.load.runs import scenario

TALKING = next(workload for workload in WORKLOADS if workload.everybody_talks)


def task(workload: Workload, folder: Path) -> Task:
    start_ms = int(time.time() * 1000) + 14_000
    return Task(workload, 1, "token", 1_000, 20.0, start_ms, start_ms + 5_000, folder)


async def test_every_receiver_gets_the_text_with_a_number_of_its_own() -> None:
    texts = ["short", "x" * 300]
    async with serve(Chat().talk, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        async with websockets.connect(address) as first, websockets.connect(address) as second:
            for member in (first, second):
                await member.send(json.dumps({"type": "join_room", "data": {"room": "bench"}}))
                assert json.loads(await member.recv())["type"] == "room_joined"
                for text in texts:
                    data = {"room": "bench", "content": text}
                    await member.send(json.dumps({"type": "chat_message", "data": data}))
                    async with asyncio.timeout(5):
                        assert json.loads(await first.recv())["data"] == data
            got = [json.loads(await second.recv()) for _ in texts]
    assert [(message["number"], message["data"]["content"]) for message in got] == [
        ("0000000001", "short"),
        ("0000000002", "x" * 300),
    ]


def test_where_everybody_talks_each_user_sends_its_part_of_what_a_room_receives(tmp_path: Path) -> None:
    of_ten = task(TALKING, tmp_path)
    assert (of_ten.rooms, of_ten.each, of_ten.env()["SEND_EVERY_MS"]) == (100, 2.0, "500")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_names_what_exists_and_its_scenario_is_one(workload: Workload, tmp_path: Path) -> None:
    assert workload.server in PEERS
    assert workload.start_rates.keys() <= TOOLS.keys()
    TOOLS["rtcli loadtest"].command(task(workload, tmp_path))
    found: Scenario = scenario((tmp_path / "scenario.yaml").read_text())
    assert sum(role.users or 0 for role in found.roles.values()) == (
        1_000 if workload.everybody_talks else 1_001
    )
