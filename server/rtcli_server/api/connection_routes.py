"""The routes that end connections: kick, revoke; and the one that lets an event stream go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query

from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.tokens import MAX_STAY_AWAY_S, is_valid_user_id
from rtcli_server.api.access import Caller
from rtcli_server.api.models import ClosedOut, RefreshedOut, RevocationIn, RevokedOut
from rtcli_server.api.reading import shared_store
from rtcli_server.api.revoking import LONGER_MS, read_revocation
from rtcli_server.api.services import ApiServices, Refreshable
from rtcli_server.auth.claims import Principal
from rtcli_server.cluster.revocations import TooManyRevocationsError
from rtcli_server.problems import ProblemError, problem_answers

_CLOSED_HERE_ONLY = "Closed on this instance. Other instances did not get the command; repeat it."
_REVOKED_HERE_ONLY = "Revoked on this instance, perhaps not on others, nor kept. Repeat it."


def add_connections(router: APIRouter, services: ApiServices) -> None:
    """Add them to the router."""

    @router.delete(
        "/users/{user_id:path}/connections", tags=["connections"], responses=problem_answers(403, 503)
    )
    async def kick(
        user_id: str,
        caller: Caller,
        stay_away_s: Annotated[
            float,
            Query(
                ge=0, le=MAX_STAY_AWAY_S, allow_inf_nan=False, description="How long nothing of it is let in"
            ),
        ] = 0.0,
    ) -> ClosedOut:
        """Close everything of a user with 4500, so that its clients stay away. Needs the scope `admin`."""
        _check_admin(caller)
        if stay_away_s and not is_valid_user_id(user_id):
            raise ProblemError(400)
        with _bounded_list():
            async with shared_store(_CLOSED_HERE_ONLY):
                closed = await services.commands.kick(user_id, stay_away_s)
        return ClosedOut(closed=closed)

    @router.post(
        "/revocations", status_code=201, tags=["connections"], responses=problem_answers(403, 409, 415, 503)
    )
    async def revoke(body: RevocationIn, caller: Caller) -> RevokedOut:
        """Accept tokens no more, and close what was opened with them. Needs the scope `admin`."""
        _check_admin(caller)
        revocation = read_revocation(body, services.clock.wall_ms())
        with _bounded_list():
            async with shared_store(_REVOKED_HERE_ONLY):
                await services.revocations.revoke(revocation)
        return RevokedOut(until=format_timestamp((revocation.until_ms - LONGER_MS) / 1000))

    @router.post(
        "/streams/{connection_id}/refresh", tags=["connections"], responses=problem_answers(403, 404, 503)
    )
    async def refresh(connection_id: str, caller: Caller) -> RefreshedOut:
        """Extend an event stream to the expiry of this request's token, which must be of the same user."""
        stream = services.hub.clients.get(connection_id)
        # The same answer for a stream of another user: connection ids are not told to others.
        if isinstance(stream, Refreshable) and stream.user_id == caller.user_id:
            if not stream.refresh(caller):
                raise ProblemError(403)
        elif stream is not None or not await _refreshed_elsewhere(services, connection_id, caller):
            raise ProblemError(404)
        return RefreshedOut(expires_at=format_timestamp(caller.expires_at))


def _check_admin(caller: Principal) -> None:
    if not caller.is_admin:
        raise ProblemError(403)


@contextmanager
def _bounded_list() -> Iterator[None]:
    try:
        yield
    except TooManyRevocationsError:
        raise ProblemError(
            409, "conflict", "Too many revocations are kept, and none of them is over"
        ) from None


async def _refreshed_elsewhere(services: ApiServices, connection_id: str, caller: Principal) -> bool:
    async with shared_store():
        return await services.commands.refresh_elsewhere(connection_id, caller)
