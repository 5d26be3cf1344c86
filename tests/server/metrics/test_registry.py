from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, Published
from rtcli_server.metrics import registry as names
from rtcli_server.metrics.registry import SPECS, Histogram, Kind, Metrics
from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.settings import Settings
from tests.support.clients.http_api import token_for
from tests.support.forged_tokens import SECRET


def publication(time_ms: int) -> Publication:
    return Publication("room:a", "k3f9", 1, "new_message", b"{}", time_ms)


def test_a_histogram_counts_by_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (-1.0, 0.0, 1.0, 1.5, 2.0, 2.1, 100.0):
        histogram.observe(value)
    assert histogram.counts == [3, 2, 2]
    assert histogram.total == pytest.approx(106.6)


def test_a_flush_counts_its_deliveries_and_times_its_oldest_publication() -> None:
    metrics = Metrics(lambda: 1_000.25, tick_s=0.1)
    metrics.flushed(["notice", publication(1_000_240), publication(1_000_249)], 100)
    assert metrics.deliveries == 300
    assert metrics.fanout_seconds.total == pytest.approx(0.01)
    assert sum(metrics.fanout_seconds.counts) == 1
    metrics.flushed(["notice"], 5)
    assert metrics.deliveries == 305
    assert sum(metrics.fanout_seconds.counts) == 1


def test_how_late_the_loop_is() -> None:
    metrics = Metrics(lambda: 0.0, tick_s=0.1)
    for now in (5.0, 5.1, 5.7):
        metrics.ticked(now)
    assert sum(metrics.loop_lag_seconds.counts) == 2
    assert metrics.loop_lag_seconds.total == pytest.approx(0.5)


async def test_outcomes_of_publishes() -> None:
    metrics = Metrics(lambda: 0.0, tick_s=0.1)
    futures: list[asyncio.Future[Published]] = [asyncio.get_running_loop().create_future() for _ in range(4)]
    futures[0].set_result(Published(Position("k3f9", 1), duplicate=False))
    futures[1].set_result(Published(Position("k3f9", 1), duplicate=True))
    futures[2].set_exception(BrokerUnavailableError("down"))
    futures[3].cancel()
    for future in futures:
        metrics.count(future)
    assert (metrics.published, metrics.duplicates, metrics.unavailable) == (1, 1, 1)


def test_every_metric_is_named_as_prometheus_wants_it() -> None:
    assert len({spec.name for spec in SPECS}) == len(SPECS)
    assert {value for value in vars(names).values() if isinstance(value, names.Spec)} == set(SPECS)
    for spec in SPECS:
        assert spec.name.startswith("rtcli_")
        assert not spec.name.endswith("_total"), "added where it is shown"
        assert not spec.unit or spec.name.endswith(f"_{spec.unit}")
        assert spec.help[0].isupper() or spec.help[0].isdigit()
        assert not spec.help.endswith(".")
        if spec.kind is Kind.HISTOGRAM:
            assert spec.unit == "seconds"


# -- a server that is asked --------------------------------------------------------------------------------


class Scrape:
    """What /metrics said."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }

    def value(self, spec: names.Spec, label: str = "", suffix: str = "") -> float:
        for sample in self.families[spec.name].samples:
            end = suffix or ("_total" if spec.kind is Kind.COUNTER else "")
            if sample.name == spec.name + end and (not label or label in sample.labels.values()):
                return float(sample.value)
        return 0.0


async def scrape(server: ServerHandle) -> Scrape:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{server.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Scrape(answer.text)


@pytest.mark.parametrize("fast", [True, False])
async def test_what_happens_is_counted(fast: bool) -> None:
    settings = Settings(port=0, secrets=(SECRET,), fast_websockets=fast, user_connections=3)
    async with running_server(settings) as server:
        before = await scrape(server)
        assert set(before.families) >= {spec.name for spec in SPECS}
        assert any(name.startswith("process_") for name in before.families)
        url = f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token_for()}"
        async with connect(url, proxy=None) as one, connect(url, proxy=None) as two:
            for socket in (one, two):
                await socket.send('{"type":"join_room","data":{"room":"a","since":"zzzz-5"},"id":"j"}')
                while json.loads(await socket.recv()).get("type") != "room_joined":
                    pass
            for text in (
                '{"type":"chat_message","data":{"room":"a","content":"x"},"id":"1"}',
                '{"type":"chat_message","data":{"room":"a","content":"x"},"id":"1"}',
                "nonsense",
                '{"type":"chat_message","data":{"room":"b","content":"x"}}',
                '{"type":"ping","id":"last"}',
            ):
                await one.send(text)
            while json.loads(await one.recv()).get("id") != "last":
                pass
            while json.loads(await two.recv()).get("type") != "new_message":
                pass
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{server.url}/api/v1/rooms")).status_code == 401
            now = await scrape(server)
        assert now.value(names.CONNECTIONS, "websocket") == 2
        assert now.value(names.CONNECTIONS, "sse") == 0
        assert now.value(names.OPENED, "websocket") == 2
        assert now.value(names.USERS) == 1
        assert now.value(names.ROOMS) == 1
        assert now.value(names.PUBLICATIONS, "published") == 1
        assert now.value(names.PUBLICATIONS, "duplicate") == 1
        assert now.value(names.DELIVERIES) >= 2
        assert now.value(names.FANOUT_SECONDS, suffix="_count") == 1
        assert now.value(names.INVALID, "invalid_message") == 1
        assert now.value(names.INVALID, "not_in_room") == 1
        assert now.value(names.RESUMES, "epoch_changed") == 2
        assert now.value(names.REFUSALS, "invalid_token") == 1
        assert now.value(names.LOG_READY) == 1
        assert now.value(names.DRAINING) == 0
        assert now.value(names.INFO, server.realtime.instance_id) == 1
        assert now.value(names.WAITING) == 0


async def test_streams_and_kicks_are_counted() -> None:
    async with running_server(Settings(port=0, secrets=(SECRET,))) as server:
        headers = {"Authorization": f"Bearer {token_for('root', scope='admin')}"}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as client,
            client.stream("GET", "/api/v1/events/stream", params={"last_event_id": "nonsense"}) as stream,
        ):
            lines = stream.aiter_lines()
            await anext(lines)
            now = await scrape(server)
            assert now.value(names.CONNECTIONS, "sse") == 1
            assert now.value(names.RESUMES, "invalid_cursor") == 2
            assert (await client.delete("/api/v1/users/root/connections")).json() == {"closed": 1}
        now = await scrape(server)
        assert now.value(names.CLOSED, "kicked") == 1


async def test_openmetrics_when_it_is_asked_for() -> None:
    async with (
        running_server(Settings(port=0, secrets=(SECRET,))) as server,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get(f"{server.url}/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert SECRET not in answer.text


async def test_a_log_with_a_disk_is_timed(tmp_path: object) -> None:
    settings = Settings(port=0, secrets=(SECRET,), store=f"sqlite:{tmp_path}/log.db")
    async with running_server(settings) as server:
        url = f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token_for()}"
        async with connect(url, proxy=None) as socket:
            await socket.send('{"type":"join_room","data":{"room":"a"}}')
            await socket.send('{"type":"chat_message","data":{"room":"a","content":"x"},"id":"1"}')
            while json.loads(await socket.recv()).get("type") != "ack":
                pass
        now = await scrape(server)
    assert now.value(names.PUBLISH_SECONDS, suffix="_count") == 1
    assert now.value(names.OUTSTANDING) == 0
