"""What to say to tokens whose key the JWKS does not have (protocol.md, section 2). Pure.

An issuer may sign with a new key before everybody gets it from the URL, so such a token is not bad yet. It
is asked for once, and again when the cooldown is over; if the key is not there then, the token is refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import inf

MAX_REMEMBERED = 1_000  # keys; strangers make up as many as they like


class UnknownKeys:
    """Remembers until when each missing key may still come. Times are monotonic seconds.

    A key is any hashable name; of each only the hash is kept.
    """

    def __init__(self, cooldown_s: float) -> None:
        self._cooldown_s = cooldown_s
        self._due: OrderedDict[int, float] = OrderedDict()  # from when on it must be there

    def __len__(self) -> int:
        return len(self._due)

    def refused(self, key: object, *, now: float, fetched_at: float) -> bool:
        """Whether a key is refused that was not in the JWKS at `fetched_at`, when it was fetched last."""
        due = self._due.setdefault(hash(key), now + self._cooldown_s)
        self._forget_oldest()
        return fetched_at >= due

    def withdraw(self, keys: Iterable[object]) -> None:
        """Note keys that the issuer has taken out: they are refused at once."""
        for key in keys:
            self._due[hash(key)] = -inf
            self._due.move_to_end(hash(key))
            self._forget_oldest()

    def found(self, keys: Iterable[object]) -> None:
        """Forget keys that are there now."""
        for key in keys:
            self._due.pop(hash(key), None)

    def _forget_oldest(self) -> None:
        if len(self._due) > MAX_REMEMBERED:
            self._due.popitem(last=False)
