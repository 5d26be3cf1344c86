"""Medians, spreads, percentiles and ratios. Pure."""

from collections.abc import Sequence
from statistics import median


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0–1] of the `ordered` values do not exceed; 0 for no values.

    >>> percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99)
    (2, 4)
    """
    if not ordered:
        return 0.0
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def middle(samples: Sequence[float]) -> float:
    """The median of the rounds."""
    return float(median(samples))


def spread(samples: Sequence[float]) -> float:
    """Half the range of the rounds as a share of their median: 0.1 means ± 10 %."""
    centre = middle(samples)
    return (max(samples) - min(samples)) / 2 / centre if centre else 0.0


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Our median over theirs; nothing when either has no samples or theirs is zero."""
    if not ours or not theirs or not middle(theirs):
        return None
    return middle(ours) / middle(theirs)
