"""Gives each user its data: the values behind `${room}` and `${user.name}` while a scenario runs.

A row is drawn once for a user, or at each use (`each`), from the user's own generator: the row depends on the
seed and the user alone, not on the worker that runs it or on who came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from rtcli.load.scenario.distributions import Zipf
from rtcli.load.scenario.expressions import BUILTINS, MissingDataError, paths_in
from rtcli.load.scenario.model import Feeder, Scenario

_PLAIN_TEXT = """
alpha anchor apple april arrow autumn basket beach bell bird blue boat book branch bread bridge
bright brook candle castle cedar chair cherry circle cloud coast copper corner cotton crane dawn
desert door dream drum early earth east echo ember empty evening fable falcon feather field fire
flute forest fox friend frost garden gate gentle glass gold grain green harbor hazel hill honey
house ice island ivory jacket january journey july kettle kite lake lamp lantern leaf lemon letter
light lime linen little lunar maple market meadow mellow midnight mint mirror moon morning mountain
music narrow needle night north oak ocean olive orange orchard paper path pearl pepper petal pine
planet plum pocket pond quiet rain raven red ribbon river road robin rose round sail salt sand
silver simple sky slow snow song south spring star stone summer sun table thunder tide timber town
valley velvet violet walnut water west whisper willow wind winter yellow
"""
_WORDS = _PLAIN_TEXT.split()


def lorem(rng: Random, fewest: int, most: int) -> str:
    """From `fewest` to `most` plain words."""
    return " ".join(rng.choices(_WORDS, k=rng.randint(fewest, most)))


class Feeders:
    """The data of a scenario, for all users of a worker. It has no state that changes."""

    def __init__(self, scenario: Scenario) -> None:
        self._data = scenario.data
        self._offsets: dict[tuple[str, str], int] = {}
        for name, feeder in scenario.data.items():
            if feeder.pick == "unique":
                self._share_rows(name, scenario)

    def _share_rows(self, name: str, scenario: Scenario) -> None:
        """Divide rows that are given out once among the roles that use them, in the order of the roles."""
        offset = 0
        for role in scenario.roles.values():
            if any(path[0] == name for path in paths_in(role)):
                self._offsets[name, role.name] = offset
                offset += role.users or 0

    def draw(self, name: str, *, role: str, index: int, used: int, rng: Random) -> object:
        """One row for user number `index` (from 0) of its role, who has drawn `used` times before.

        Raises MissingDataError when there are not enough rows (`pick: unique`).
        """
        feeder = self._data[name]
        if feeder.lorem is not None:
            return lorem(rng, *feeder.lorem)
        return feeder.rows[self._row_index(feeder, role, index, used, rng)]

    def _row_index(self, feeder: Feeder, role: str, index: int, used: int, rng: Random) -> int:
        count = len(feeder.rows)
        if isinstance(feeder.pick, Zipf):
            return feeder.pick.index(rng, count)
        if feeder.pick == "random":
            return rng.randrange(count)
        if feeder.pick == "sequence":
            return (index + used) % count
        position = self._offsets.get((feeder.name, role), 0) + index
        if position >= count:
            msg = f"{feeder.name!r} has only {count} rows for its users (`pick: unique`)"
            raise MissingDataError(msg)
        return position

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def once(self, name: str) -> bool:
        """Whether a user keeps the row that it drew first."""
        return self._data[name].each == "user"

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)


def always(rng: Random) -> Callable[[], Random]:
    """A function that returns this generator, for a scope whose user has one already."""
    return lambda: rng


class UserScope(Mapping[str, object]):
    """What names mean for one user, for `Template.render`. Flows keep `phase` and `loop` up to date.

    `rng` returns the user's generator; it is called when the first random row is drawn.
    """

    __slots__ = (
        "_drawn",
        "_feeders",
        "_index",
        "_rng",
        "_used",
        "loop",
        "phase",
        "role",
        "run",
        "session",
        "user",
    )

    def __init__(
        self,
        feeders: Feeders,
        *,
        role: str,
        index: int,
        number: int,
        user_id: str,
        name: str,
        run: str,
        rng: Callable[[], Random],
    ) -> None:
        self.role = role
        self.user = {"number": number, "id": user_id, "name": name}
        self.phase = ""
        self.loop = 0
        self.session: dict[str, object] = {}
        self.run = run
        self._feeders = feeders
        self._index = index
        self._rng = rng
        self._drawn: dict[str, object] = {}
        self._used: dict[str, int] = {}

    def __getitem__(self, name: str) -> object:
        if name in BUILTINS:
            value: object = getattr(self, name)
            return value
        if name in self._drawn:
            return self._drawn[name]
        if name not in self._feeders:
            raise KeyError(name)
        used = self._used.get(name, 0)
        row = self._feeders.draw(name, role=self.role, index=self._index, used=used, rng=self._rng())
        self._used[name] = used + 1
        if self._feeders.once(name):
            self._drawn[name] = row
        return row

    def __contains__(self, name: object) -> bool:
        return name in BUILTINS or (isinstance(name, str) and name in self._feeders)

    def __iter__(self) -> Iterator[str]:
        yield from BUILTINS
        yield from self._feeders

    def __len__(self) -> int:
        return len(BUILTINS) + sum(1 for _ in self._feeders)
