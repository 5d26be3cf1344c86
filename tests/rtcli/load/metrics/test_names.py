"""The registry of metrics."""

from __future__ import annotations

from rtcli.load.metrics.names import AGGREGATIONS, METRICS, Kind, Unit


def test_the_registry_of_metrics_is_whole() -> None:
    assert set(AGGREGATIONS) == set(Kind)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.help.endswith(".")
        assert metric.kind is not Kind.TREND or metric.unit is Unit.SECONDS
        assert metric.kind is not Kind.RATE or metric.unit is Unit.RATIO
        assert not metric.always or metric.kind is Kind.COUNTER
