from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.metrics.histogram import bucket_index
from rtcli.load.metrics.store import Bins, MetricStore, bin_key_of_delivery, delivery_key, lag_of_delivery


def bins() -> Bins:
    return Bins([("ramp", 1.5), ("steady", 2.0), ("drain", 0.5)], slack=10)


def test_bins_are_seconds_cut_at_phases() -> None:
    cut = bins()
    moments = (0.0, 1.2, 1.6, 2.0, 3.4, 3.6, 3.99, 4.0, 9.0)
    assert [cut.phase(cut.at(at)) for at in moments] == [
        "ramp", "ramp", "steady", "steady", "steady", "drain", "drain", "drain", "drain",
    ]  # fmt: skip
    assert [cut.second(cut.at(at)) for at in moments] == [0, 1, 1, 2, 3, 3, 3, 4, 9]
    assert cut.at(-1.0) == cut.at(0.0)
    assert cut.at(1e9) == cut.at(13.5)


def filled() -> MetricStore:
    store = MetricStore(bins())
    for at, value, role in ((0.1, 1000, "reader"), (2.1, 3000, "reader"), (2.2, 5000, "writer")):
        store.recorder("fanout_latency", role=role).record(store.bins.at(at), value)
    store.recorder("close", code="4001").add(store.bins.at(2.0), 3)
    store.recorder("close", code="1006").add(store.bins.at(0.0))
    store.recorder("checks", step="1.expect").check(store.bins.at(0.5), good=True)
    store.recorder("checks", step="2.expect").check(store.bins.at(2.5), good=False)
    store.gauge("vus", 7, role="reader")
    return store


def test_tags_select() -> None:
    store = filled()
    whole = store.trend("fanout_latency", {})
    steady = store.trend("fanout_latency", {"phase": "steady"})
    readers = store.trend("fanout_latency", {"phase": "steady", "role": "reader"})
    assert whole is not None
    assert steady is not None
    assert readers is not None
    assert (whole.count, steady.count, readers.count) == (3, 2, 1)
    assert readers.percentile(50) == pytest.approx(0.003, rel=0.001)
    assert store.trend("fanout_latency", {"role": "nobody"}) is None
    assert store.trend("send_ack", {}) is None
    assert store.count("close", {}) == 4
    assert store.count("close", {"code": "4001"}) == 3
    assert store.count("close", {"code": "4001", "phase": "ramp"}) is None
    assert store.rate("checks", {}) == 0.5
    assert store.rate("checks", {"phase": "ramp"}) == 1.0
    assert store.rate("checks", {"step": "3"}) is None
    assert store.value("vus", {}) == 7
    assert store.value("vus", {"role": "writer"}) is None


def test_merging_workers_is_the_same_as_one() -> None:
    one, two, both = filled(), filled(), filled()
    for key, counts in filled().drain().items():
        recorder = both.recorder(key[0], **dict(key[1]))
        for moment, count in counts.items():
            recorder.counts[moment] += count
    merged = MetricStore(bins())
    for store in (one, two):
        merged.merge(pickle.loads(pickle.dumps(store.drain())))  # noqa: S301 - what was just written
        assert not store.drain()
    assert merged.drain() == both.drain()


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(KeyError, match="fanout_latencies"):
        MetricStore(bins()).recorder("fanout_latencies")


@given(st.integers(0, 1 << 20), st.integers(-5, 1 << 24), st.integers(0, 60_000_000))
def test_one_count_serves_latency_and_service(second: int, lag: int, late: int) -> None:
    moment = (second % 10) << 16
    key = delivery_key(moment, lag)
    assert bin_key_of_delivery(key) == moment
    assert abs(lag_of_delivery(key) - max(lag, 0)) <= max(lag, 0) / 30 + 1
    store = MetricStore(bins())
    store.deliveries(websocket=True, role="reader")[key + bucket_index(late)] += 3
    taken = MetricStore(bins())
    taken.merge(store.drain())
    latency, service = taken.trend("fanout_latency", {}), taken.trend("fanout_service", {"role": "reader"})
    assert latency is not None
    assert service is not None
    assert latency.count == service.count == 3
    assert taken.count("ws_msgs_received", {}) == 3
    assert abs(latency.maximum * 1e6 - late) <= late / 1000 + 1
    assert abs(service.maximum * 1e6 - max(late - max(lag, 0), 0)) <= late / 500 + max(lag, 0) / 25 + 2


def test_references_to_counts_outlive_a_drain() -> None:
    store = MetricStore(bins())
    counts = store.deliveries(websocket=False)
    counts[bucket_index(5)] += 1
    store.drain()
    counts[bucket_index(5)] += 1
    assert {key[0]: sum(kept.values()) for key, kept in store.drain().items()} == {
        "fanout_latency": 1,
        "fanout_service": 1,
    }
