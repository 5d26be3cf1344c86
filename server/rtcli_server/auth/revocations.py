"""Which tokens are revoked, and which users have to stay away (protocol.md, section 2). Pure.

The server's list is in memory, so that a token is checked without asking the log; whoever fills it keeps it
the same on all instances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from rtcli_server.auth.claims import MAX_LIFETIME_S, Principal

MAX_REVOCATIONS = 50_000  # kept at the same time: some 20 MB, when the names are UUIDs
MAX_LISTED = 60_000  # what others accepted at the same time, or have put into the store
MAX_KEPT_MS = int(MAX_LIFETIME_S * 1000)  # no token lives longer than that
# What ended so long ago is forgotten. A clock that was ahead may be set back, and those of instances differ.
OVER_FOR_MS = 3_600_000
_PRUNE_FROM = 1_000
_PRUNE_AGAIN_MS = 1_000  # a full list is looked through no more often, however much does not fit


class RevocationKind(StrEnum):
    """What a revocation is about."""

    TOKEN = "token"  # noqa: S105 - no password; one token, by its `jti`
    USER = "user"  # the tokens of a user that were issued before a time
    AWAY = "away"  # a user, whatever the token


class Revocation(msgspec.Struct, frozen=True, gc=False):
    """`subject` is a `jti` or a user's id. It holds until `until_ms`; both times are Unix milliseconds.

    `before_ms`: tokens that were issued before it are revoked. 0 where that is not the point.
    """

    kind: RevocationKind
    subject: str
    until_ms: int
    before_ms: int = 0

    @property
    def about(self) -> tuple[RevocationKind, str]:
        """What two revocations have in common that are merged into one."""
        return self.kind, self.subject

    def includes(self, other: Revocation) -> bool:
        """Whether this one says all that another one about the same says."""
        return self.until_ms >= other.until_ms and self.before_ms >= other.before_ms

    def merged(self, other: Revocation) -> Revocation:
        """Both in one: what either revokes, as long as either says."""
        until_ms, before_ms = max(self.until_ms, other.until_ms), max(self.before_ms, other.before_ms)
        return Revocation(self.kind, self.subject, until_ms, before_ms)


class RevokedTokens:
    """The list. `known`: whether it has been read from the log; before that, no token may be trusted."""

    def __init__(self, now_ms: Callable[[], int], *, known: bool = True) -> None:
        self.known = known
        self._now_ms = now_ms
        self._lists: dict[RevocationKind, dict[str, Revocation]] = {kind: {} for kind in RevocationKind}
        self._tokens = self._lists[RevocationKind.TOKEN]
        self._users = self._lists[RevocationKind.USER]
        self._away = self._lists[RevocationKind.AWAY]
        self._prune_at = _PRUNE_FROM
        self._pruned_ms = 0

    def __iter__(self) -> Iterator[Revocation]:
        now_ms = self._now_ms()
        return iter(
            [one for found in self._lists.values() for one in found.values() if one.until_ms > now_ms]
        )

    def __len__(self) -> int:
        return len(self._tokens) + len(self._users) + len(self._away)

    @property
    def full(self) -> bool:
        """Whether as many are kept as may be."""
        return self._has_reached(MAX_REVOCATIONS)

    def has(self, revocation: Revocation) -> bool:
        """Whether the list says all that this one says."""
        found = self._lists[revocation.kind].get(revocation.subject)
        return found is not None and found.includes(revocation)

    def add(self, revocation: Revocation) -> Revocation | None:
        """Put one in, or extend the one about the same; return it as it is now, None: there is no room."""
        same_kind = self._lists[revocation.kind]
        found = same_kind.get(revocation.subject)
        if found is None and self._has_reached(MAX_LISTED):
            return None
        if found is not None and found.includes(revocation):
            return found
        whole = same_kind[revocation.subject] = revocation if found is None else found.merged(revocation)
        if len(self) >= self._prune_at:
            self._prune(over_for_ms=OVER_FOR_MS)
        return whole

    def discard(self, revocation: Revocation) -> None:
        """Take out what `add` returned, unless it was extended since."""
        same_kind = self._lists[revocation.kind]
        if same_kind.get(revocation.subject) is revocation:
            del same_kind[revocation.subject]

    def _has_reached(self, number: int) -> bool:
        if len(self) >= number and abs(self._now_ms() - self._pruned_ms) >= _PRUNE_AGAIN_MS:
            self._prune(over_for_ms=0)  # there is no room for what is over
        return len(self) >= number

    def _prune(self, *, over_for_ms: int) -> None:
        self._pruned_ms = self._now_ms()
        over_at_ms = self._pruned_ms - over_for_ms
        for found in self._lists.values():
            for subject in [subject for subject, one in found.items() if one.until_ms <= over_at_ms]:
                del found[subject]
        self._prune_at = max(_PRUNE_FROM, 2 * len(self))

    def covers(self, principal: Principal) -> bool:
        """Whether the token of this principal is revoked."""
        if self._tokens and principal.token_id is not None and self._get(self._tokens, principal.token_id):
            return True
        of_user = self._get(self._users, principal.user_id) if self._users else None
        # A token that does not say when it was issued counts as issued before any time.
        return of_user is not None and (principal.issued_at or 0.0) * 1000 < of_user.before_ms

    def is_away(self, user_id: str) -> bool:
        """Whether this user has to stay away."""
        return bool(self._away) and self._get(self._away, user_id) is not None

    def _get(self, found: dict[str, Revocation], subject: str) -> Revocation | None:
        one = found.get(subject)
        return one if one is not None and one.until_ms > self._now_ms() else None
