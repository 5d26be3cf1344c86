"""Parses scalars that have a grammar of their own: distributions, back-off, ramps, generated rows."""

from __future__ import annotations

import itertools
import re

from rtcli.load.scenario.distributions import (
    Backoff,
    Const,
    Distribution,
    Exponential,
    LogNormal,
    Normal,
    Pareto,
    Uniform,
    Zipf,
)
from rtcli.load.scenario.model import Ramp
from rtcli.load.scenario.nodes import did_you_mean
from rtcli.units import parse_duration, parse_percent

MAX_ROWS = 1_000_000

_CALL = re.compile(r"([a-z]+)\s*\(([^()]*)\)", re.ASCII)
_SHAPES = {
    "const": "const(3s)",
    "uniform": "uniform(3s, 8s)",
    "exp": "exp(20s)",
    "normal": "normal(3s, 500ms)",
    "lognormal": "lognormal(3s, 0.8)",
    "pareto": "pareto(1s, 1.5)",
}


def parse_time(text: str) -> float:
    """Seconds of a duration; a negative one has a message of its own. Raises ValueError."""
    if text.startswith("-"):
        raise ValueError(f"{text!r}: a duration cannot be negative")
    return parse_duration(text)


def _parse_number(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def parse_distribution(text: str) -> Distribution:
    """A distribution of times: `3s`, `uniform(3s, 8s)`, `lognormal(3s, 0.8)`. Raises ValueError."""
    match = _CALL.fullmatch(text)
    if match is None:
        return Const(parse_time(text))
    name, arguments = match[1], [part.strip() for part in re.split(r",|\.\.", match[2])]
    if name == "zipf":
        raise ValueError(
            "zipf draws from a list and is for `pick`; for times there are: " + ", ".join(_SHAPES)
        )
    if name not in _SHAPES:
        raise ValueError(
            f"there is no distribution {name!r}{did_you_mean(name, _SHAPES)}; {', '.join(_SHAPES)}"
        )
    if len(arguments) != (1 if name in {"const", "exp"} else 2):
        raise ValueError(f"{text!r}: write {_SHAPES[name]}")
    return _distribution(name, arguments)


def _distribution(name: str, arguments: list[str]) -> Distribution:
    first = parse_time(arguments[0])
    if name == "const":
        return Const(first)
    if name == "exp":
        return Exponential(first)
    if name == "uniform":
        high = parse_time(arguments[1])
        if high < first:
            raise ValueError(f"uniform({', '.join(arguments)}): the larger comes last")
        return Uniform(first, high)
    if name == "normal":
        return Normal(first, parse_time(arguments[1]))
    shape = _parse_number(arguments[1])
    if shape <= 0:
        raise ValueError(f"{name}: its second value must be more than 0")
    return LogNormal(first, shape) if name == "lognormal" else Pareto(first, shape)


def parse_backoff(text: str) -> Backoff:
    """`exp(250ms..5s)`: exponential with full jitter; `1s`: constant. Raises ValueError."""
    match = _CALL.fullmatch(text)
    if match is None:
        wait = parse_time(text)
        return Backoff(wait, wait, jitter=False)
    bounds = [part.strip() for part in re.split(r",|\.\.", match[2])]
    if match[1] != "exp" or len(bounds) != 2:
        raise ValueError(f"{text!r} is not a back-off: write exp(250ms..5s) or 1s")
    base, cap = map(parse_time, bounds)
    if not 0 < base <= cap:
        raise ValueError(f"{text!r}: from a delay above 0 to one that is not shorter")
    return Backoff(base, cap)


def parse_reconnect(text: str) -> Backoff | None:
    """A back-off, or `never`. Raises ValueError."""
    return None if text == "never" else parse_backoff(text)


def parse_attendance(text: str) -> float:
    """A share from 0 to 1; `off` is 0. Raises ValueError."""
    if text == "off":
        return 0.0
    try:
        share = parse_percent(text)
    except ValueError:
        near = did_you_mean(text, ["off"])
        raise ValueError(f"{text!r} is not a share{near}: write 99%, or off") from None
    if share > 1:
        raise ValueError(f"{text!r}: at most 100%")
    return share


def _parse_level(text: str) -> float:
    level = 0.0 if text == "0" else parse_percent(text)
    if level > 1:
        raise ValueError(f"{text!r}: at most 100%")
    return level


def parse_ramp(text: str) -> Ramp:
    """`0 -> 100%`, or `50%` from start to end. Raises ValueError."""
    parts = [part.strip() for part in text.split("->")]
    try:
        levels = [_parse_level(part) for part in parts]
    except ValueError as error:
        raise ValueError(f"{error}: users of a phase are a share, like 0 -> 100%") from None
    if len(levels) > 2:
        raise ValueError(f"{text!r}: write 0 -> 100%, and a phase for each further stage")
    return Ramp(levels[0], levels[-1])


def parse_share(text: str) -> float:
    """`50%`: more than 0 and at most 100%. Raises ValueError."""
    share = parse_percent(text)
    if not 0 < share <= 1:
        raise ValueError(f"{text!r}: more than 0% and at most 100%")
    return share


def parse_factor(text: str) -> float:
    """`x4`, `x0.5`. Raises ValueError."""
    match = re.fullmatch(r"x ?(\d{1,6}(?:\.\d{1,6})?)", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a factor: write x4 or x0.5")
    return float(match[1])


def parse_pick(text: str) -> str | Zipf:
    """`random`, `sequence`, `unique` or `zipf(1.1)`. Raises ValueError."""
    match = _CALL.fullmatch(text)
    if match is not None and match[1] == "zipf":
        exponent = _parse_number(match[2].strip())
        if exponent <= 0:
            raise ValueError("zipf: its exponent must be more than 0")
        return Zipf(exponent)
    if text not in {"random", "sequence", "unique"}:
        near = did_you_mean(text, ("random", "sequence", "unique"))
        raise ValueError(
            f"{text!r} is not a way to pick{near}; there are: random, sequence, unique, zipf(1.1)"
        )
    return text


def parse_words(text: str) -> tuple[int, int]:
    """The least and the greatest number of words: `8..40` or `12`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,4})(?:\.\.(\d{1,4}))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a number of words: write 8..40")
    fewest, most = int(match[1]), int(match[2] or match[1])
    if not 1 <= fewest <= most <= 2000:
        raise ValueError(f"{text!r}: from at least 1 word to at most 2000")
    return fewest, most


_RANGE = re.compile(r"\{(\d{1,7})\.\.(\d{1,7})\}", re.ASCII)


def generate_rows(text: str) -> tuple[str, ...]:
    """`room-{1..20}` as 20 texts; ranges multiply, and `{001..200}` keeps its zeros. Raises ValueError."""
    pieces = _RANGE.split(text)
    if len(pieces) == 1:
        raise ValueError(f"{text!r} generates nothing: write room-{{1..20}}")
    choices: list[list[str]] = [[pieces[0]]]
    total = 1
    for first, last, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        total *= max(0, int(last) - int(first) + 1)
        if not 0 < total <= MAX_ROWS:
            raise ValueError(f"{text!r} generates no row, or more than {MAX_ROWS}")
        width = len(first) if first.startswith("0") else 0
        choices.append([f"{number:0{width}d}{rest}" for number in range(int(first), int(last) + 1)])
    return tuple("".join(parts) for parts in itertools.product(*choices))
