"""Probability distributions: of think times, stays and reconnect delays, and of picks from a list.

All are immutable values. `sample(rng)` draws from the given generator alone, so that a seed repeats a run. A
sample is never negative: values below zero become zero.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Protocol


class Distribution(Protocol):
    """A distribution of numbers; times are in seconds."""

    @property
    def mean(self) -> float:
        """The expected value (infinite for a Pareto shape of 1 or less)."""
        ...

    def sample(self, rng: Random) -> float:
        """Draw one value, 0 or more."""
        ...


@dataclass(frozen=True, slots=True)
class Const:
    """Always the same."""

    value: float

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    def sample(self, rng: Random) -> float:  # noqa: ARG002 - every distribution takes one
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Each value between `low` and `high` equally likely."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        """Half way between both."""
        return (self.low + self.high) / 2

    def sample(self, rng: Random) -> float:
        """Draw one value."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Waiting times of a Poisson process with this mean."""

    average: float

    @property
    def mean(self) -> float:
        """The average."""
        return self.average

    def sample(self, rng: Random) -> float:
        """Draw one value."""
        return rng.expovariate(1 / self.average) if self.average else 0.0


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal distribution; samples below zero become zero (`mean` does not take that into account)."""

    average: float
    deviation: float

    @property
    def mean(self) -> float:
        """The average."""
        return self.average

    def sample(self, rng: Random) -> float:
        """Draw one value."""
        return max(0.0, rng.normalvariate(self.average, self.deviation))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """For human pauses: half are shorter than `median`; `sigma` is the deviation of the logarithm."""

    median: float
    sigma: float

    @property
    def mean(self) -> float:
        """exp(mu + sigma²/2), which is above the median exp(mu)."""
        return self.median * math.exp(self.sigma**2 / 2)

    def sample(self, rng: Random) -> float:
        """Draw one value."""
        return self.median * math.exp(rng.normalvariate(0, self.sigma))


@dataclass(frozen=True, slots=True)
class Pareto:
    """A long tail: samples are at least `scale`; the smaller `shape`, the longer the tail."""

    scale: float
    shape: float

    @property
    def mean(self) -> float:
        """Infinite for a shape of 1 or less."""
        return self.scale * self.shape / (self.shape - 1) if self.shape > 1 else math.inf

    def sample(self, rng: Random) -> float:
        """Draw one value."""
        return self.scale * rng.paretovariate(self.shape)


@lru_cache(maxsize=64)
def _zipf_steps(exponent: float, count: int) -> tuple[float, ...]:
    """Cumulative weights of ranks 1 to `count`."""
    return tuple(accumulate(rank**-exponent for rank in range(1, count + 1)))


@dataclass(frozen=True, slots=True)
class Zipf:
    """For popularity: draws an index of a list, not a time. Rank k has a weight of 1 / k^exponent."""

    exponent: float

    def index(self, rng: Random, count: int) -> int:
        """Draw an index from 0 (the most popular) to `count` - 1."""
        steps = _zipf_steps(self.exponent, count)
        return bisect_left(steps, rng.random() * steps[-1])

    def shares(self, count: int) -> tuple[float, ...]:
        """The probability of each index; they add up to 1."""
        steps = _zipf_steps(self.exponent, count)
        return tuple((high - low) / steps[-1] for low, high in zip((0.0, *steps), steps, strict=False))


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts to reconnect: attempt n (from 0) waits up to `base` x 2^n, at most `cap`.

    With `jitter` (the default), the delay is drawn uniformly between 0 and that bound ("full jitter"), so
    that users who lose their connections at once do not come back at once. A constant delay is
    `base == cap` without jitter.
    """

    base: float
    cap: float
    jitter: bool = True

    def delay(self, rng: Random, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt`, counted from 0."""
        bound = min(self.cap, self.base * 2.0 ** min(attempt, 62))
        return rng.uniform(0.0, bound) if self.jitter else bound
