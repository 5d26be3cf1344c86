"""Jitter without chance: each delay is the longest that may be."""

from __future__ import annotations

import random

from typing_extensions import override


class LongestDelays(random.Random):
    """Draws the upper bound."""

    @override
    def uniform(self, a: float, b: float) -> float:
        return b
