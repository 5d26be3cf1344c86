"""What `${names}` mean for one user: the feeders' values, and who and where the user is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from random import Random

from rtcli.load.distributions import Zipf
from rtcli.load.scenario import Feeder

_WORDS = tuple(
    """
    about after again almost also although always another any around because before between both
    bring call came change come could country day different does done each early earth end enough
    even every example eye face far feet few find first follow food form found four from give good
    great group grow half hand hard have head hear help here high home house idea important into
    just keep kind know land large last late learn leave left letter life light like line list
    little live long look made make many
    """.split()  # noqa: SIM905 - a wall of quotes is harder to read
)


class Feeders:
    """Draws from the scenario's data. Workers of a run take turns in what is to be used once or in order."""

    def __init__(self, feeders: Mapping[str, Feeder], *, worker: int = 0, workers: int = 1) -> None:
        self._feeders = feeders
        self._places = {name: count(worker, workers) for name in feeders}

    def draw(self, name: str, rng: Random) -> object:
        """One value. Rows that are to be used once begin again when they run out."""
        feeder = self._feeders[name]
        if feeder.lorem is not None:
            return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(*feeder.lorem)))
        if isinstance(feeder.pick, Zipf):
            return feeder.rows[feeder.pick.index(rng, len(feeder.rows))]
        if feeder.pick == "random":
            return rng.choice(feeder.rows)
        return feeder.rows[next(self._places[name]) % len(feeder.rows)]

    @property
    def feeders(self) -> Mapping[str, Feeder]:
        """By name."""
        return self._feeders


class UserScope(Mapping[str, object]):
    """The names that one user sees. Values that a feeder gives `each: user` are drawn once, at first use."""

    def __init__(self, feeders: Feeders, rng: Random, fixed: Mapping[str, object]) -> None:
        self._feeders = feeders
        self._rng = rng
        self._drawn: dict[str, object] = {}
        self.session: dict[str, object] = {}
        self.own: dict[str, object] = {**fixed, "session": self.session, "loop": 0, "phase": ""}

    def __getitem__(self, name: str) -> object:
        feeder = self._feeders.feeders.get(name)
        if feeder is None:
            return self.own[name]
        if feeder.each == "use":
            return self._feeders.draw(name, self._rng)
        if name not in self._drawn:
            self._drawn[name] = self._feeders.draw(name, self._rng)
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._feeders.feeders  # without drawing, as the default would

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._feeders.feeders

    def __len__(self) -> int:
        return len(self.own) + len(self._feeders.feeders)
