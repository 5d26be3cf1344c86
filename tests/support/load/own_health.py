"""What a run owes its thresholds, by its own figures of how late the load generator was.

On a busy machine the load generator is late, too: then a run must not blame the server for what may be its
own doing, and a test cannot ask it to.
"""

from __future__ import annotations

from rtcli.load.results.model import RunResult, Second, Verdict

WORSE = ("used", "hypervisor", "quota")  # reasons that hold for every threshold


def assert_threshold_broken(result: RunResult, selector: str) -> None:
    """A threshold does not hold: it has failed, and with it the run, unless the load generator was late."""
    broken = [it for it in result.thresholds if it.selector == selector and it.outcome != "passed"]
    assert broken, result.thresholds
    if any(it.outcome == "failed" for it in result.thresholds):
        assert result.verdict is Verdict.THRESHOLD, result.reasons
        return
    assert result.generator.flagged_seconds > 0, result.generator
    assert all("the load generator was the bottleneck" in it.reason for it in broken)
    assert result.verdict is Verdict.INCONCLUSIVE, result.reasons


def is_judged(result: RunResult) -> bool:
    """Whether a run tells something of its server. If not, that is the load generator's doing alone.

    It was too late to start users, or stood still while answers were due: then it must accuse nobody. Its
    own figures show the second or more that it takes for that.
    """
    assert result.accounts is not None
    missing = result.accounts.shortfalls
    if result.verdict is not Verdict.INCONCLUSIVE or not any(item.by_generator for item in missing):
        return True
    assert result.generator.flagged_seconds > 0, result.generator
    assert max(result.metrics[name].max or 0.0 for name in ("loop_lag", "schedule_lag")) > 1.0, missing
    assert all(item.by_generator for item in missing if not item.allowed), missing
    return False


def names_its_loop(row: Second, *, late_s: float) -> bool:
    """Whether a second is flagged for an event loop that was so late, or for something that was worse."""
    if not row.flagged or "event loop of a worker" in row.flagged:
        return bool(row.flagged)
    sends_were_later = row.lag_p99 is not None and row.lag_p99 >= late_s
    return sends_were_later or any(word in row.flagged for word in WORSE)
