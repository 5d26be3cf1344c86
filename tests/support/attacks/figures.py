"""What an attack costs, and how much it may. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much an attack may cost. `peak_bytes_each` is a mean over the connections: attack with 50 or more.

    `after_bytes` is what may stay: allocators do not give back every page.
    """

    peak_bytes_each: float = MIB
    after_bytes: float = 16 * MIB
    held_s: float = 0.25
    log_bytes: int = 64 * 1024


ANONYMOUS = Bounds()
WITH_TOKEN = Bounds(peak_bytes_each=2 * MIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one attack cost. Memory and descriptors: more than before it.

    `held_s`: the longest time for which something held the loop. `places_lost`: connections that the server
    still counts, and places under the cap of an address that nobody can take any more.
    """

    attack: str
    target: str
    connections: int
    peak_bytes: int
    after_bytes: int
    held_s: float
    descriptors: int
    places_lost: int
    log_bytes: int

    def beyond(self, bounds: Bounds) -> list[str]:
        """What is more than it may be, in words."""
        figures: tuple[tuple[str, float, float], ...] = (
            ("bytes at the peak, each", self.peak_bytes / self.connections, bounds.peak_bytes_each),
            ("bytes afterwards", self.after_bytes, bounds.after_bytes),
            ("seconds for which the loop was held", self.held_s, bounds.held_s),
            ("descriptors afterwards", self.descriptors, 0),
            ("places lost", self.places_lost, 0),
            ("bytes logged", self.log_bytes, bounds.log_bytes),
        )
        return [f"{what}: {figure:,.2f} > {bound:,.2f}" for what, figure, bound in figures if figure > bound]

    def as_dict(self) -> dict[str, object]:
        """The figures by name."""
        return asdict(self)
