"""The routes of the HTTP API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, Security
from fastapi.security import HTTPBearer

from rtcli.protocol.messages import MAX_HISTORY
from rtcli.protocol.paths import API_PREFIX
from rtcli.protocol.position import POSITION
from rtcli_server.api.access import Access, Caller, guarded_route
from rtcli_server.api.batch import add_batch
from rtcli_server.api.connection_routes import add_connections
from rtcli_server.api.hooks import ApiHooks
from rtcli_server.api.models import (
    DirectIn,
    EventIn,
    MemberOut,
    MembersOut,
    MessageIn,
    PageOut,
    PublishedOut,
    RoomsOut,
    SentOut,
)
from rtcli_server.api.pieces import PiecesResponse
from rtcli_server.api.publishing import Publisher, checked_room
from rtcli_server.api.reading import PageReader, parse_since, shared_store
from rtcli_server.api.receipts import published_out, queued_out, start_direct, status_of
from rtcli_server.api.room_list import RoomList, room_pieces
from rtcli_server.api.services import ApiServices
from rtcli_server.auth.claims import Principal
from rtcli_server.limits.user_rates import UserRates
from rtcli_server.problems import ProblemError, problem_answers

DEFAULT_LIMIT = 100
LOG_TIMEOUT_S = 2.0
_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token with the claims of the protocol"
)
_PUBLISHED: dict[int | str, dict[str, Any]] = {
    200: {"model": PublishedOut, "description": "Published already, under the same id"}
}


def api_router(
    services: ApiServices, *, rates: UserRates | None, log_timeout_s: float = LOG_TIMEOUT_S
) -> APIRouter:
    """Make all routes under /api/v1.

    `rates` limits what one user does, together with WebSockets; None is no limit. A request gets 503 when the
    log does not answer within `log_timeout_s`.
    """
    access = Access(services, rates)
    router = APIRouter(prefix=API_PREFIX, route_class=guarded_route(access), dependencies=[Security(_bearer)])
    publisher = Publisher(services, timeout_s=log_timeout_s)
    hooks = ApiHooks(services.gate)
    _add_rooms(router, services, publisher, hooks)
    _add_history(router, services, hooks, log_timeout_s)
    _add_events(router, publisher)
    add_batch(router, publisher, access, hooks)
    add_connections(router, services)
    return router


def _add_rooms(router: APIRouter, services: ApiServices, publisher: Publisher, hooks: ApiHooks) -> None:
    @router.post(
        "/rooms/{room:path}/messages",
        status_code=201,
        tags=["rooms"],
        response_model_exclude_none=True,
        responses=_PUBLISHED | problem_answers(403, 409, 413, 415, 503),
    )
    async def publish_message(room: str, body: MessageIn, caller: Caller, response: Response) -> PublishedOut:
        """Publish a message. Needs the right to publish in the room, not membership."""
        content = await hooks.content_of(
            caller, room, body.content, body.id, excludes=body.exclude is not None
        )
        receipt = await publisher.finish(
            publisher.start_message(caller, room, content, body.id, exclude=body.exclude)
        )
        response.status_code = status_of(receipt)
        return published_out(receipt)

    room_list = RoomList(services.rooms.counts, services.clock.now)

    @router.get("/rooms", tags=["rooms"], response_model=RoomsOut, responses=problem_answers(503))
    async def list_rooms(caller: Caller) -> Response:
        """List the rooms that have members and that the caller may join."""
        async with shared_store():
            rooms = await room_list.read()
        return PiecesResponse(room_pieces(rooms, caller.can_join))

    @router.get("/rooms/{room:path}/members", tags=["rooms"], responses=problem_answers(403, 503))
    async def list_members(room: str, caller: Caller) -> MembersOut:
        """List the members of a room."""
        name = _readable_room(caller, room)
        await hooks.check_may_read(caller, name)
        async with shared_store():
            members, count = await services.rooms.members(name)
        shown = [MemberOut(user_id=member.user_id, name=member.name) for member in members]
        return MembersOut(room=room, members=shown, member_count=count)


def _add_history(router: APIRouter, services: ApiServices, hooks: ApiHooks, log_timeout_s: float) -> None:
    @router.get(
        "/rooms/{room:path}/messages",
        tags=["rooms"],
        response_model=PageOut,
        responses=problem_answers(403, 503),
    )
    async def read_messages(
        room: str,
        caller: Caller,
        since: Annotated[
            str | None,
            Query(
                description="A position: what comes after it",
                examples=["k3f9-42"],
                json_schema_extra={"pattern": f"^{POSITION.pattern}$"},
            ),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_HISTORY)] = DEFAULT_LIMIT,
    ) -> Response:
        """Read the newest messages, or those after a position."""
        name = _readable_room(caller, room)
        await hooks.check_may_read(caller, name)
        asked = parse_since(since)
        reader = PageReader(
            services.broker, name, caller.user_id, since=asked, limit=limit, timeout_s=log_timeout_s
        )
        return PiecesResponse(reader.body(await reader.read_first(), spelling=room))


def _readable_room(caller: Principal, spelling: str) -> str:
    room = checked_room(spelling)
    if not caller.can_join(room):
        raise ProblemError(403)
    return room


def _add_events(router: APIRouter, publisher: Publisher) -> None:
    documented: dict[int | str, dict[str, Any]] = _PUBLISHED | problem_answers(403, 409, 413, 415, 503)

    @router.post(
        "/users/{user_id:path}/events",
        status_code=201,
        tags=["events"],
        response_model_exclude_none=True,
        responses=documented,
    )
    async def publish_to_user(
        user_id: str, body: EventIn, caller: Caller, response: Response
    ) -> PublishedOut:
        """Publish an event to everything that one user has open. Needs the scope `publish`."""
        started = publisher.start_event(caller, user_id, body.event, body.data, body.id, exclude=body.exclude)
        receipt = await publisher.finish(started)
        response.status_code = status_of(receipt)
        return published_out(receipt)

    @router.post(
        "/connections/{connection_id}/events",
        status_code=202,
        tags=["events"],
        response_model_exclude_none=True,
        responses=problem_answers(403, 404, 413, 415, 503),
    )
    async def send_to_connection(connection_id: str, body: DirectIn, caller: Caller) -> SentOut:
        """Send an event to one connection; it is ephemeral. Needs the scope `publish`."""
        started = start_direct(publisher, caller, connection_id, body.event, body.data)
        return SentOut(queued=queued_out(await publisher.finish_direct(started)))

    @router.post(
        "/events", status_code=201, tags=["events"], response_model_exclude_none=True, responses=documented
    )
    async def publish_to_all(body: EventIn, caller: Caller, response: Response) -> PublishedOut:
        """Publish an event to everyone. Needs the scope `publish`."""
        receipt = await publisher.finish(
            publisher.start_event(caller, None, body.event, body.data, body.id, exclude=body.exclude)
        )
        response.status_code = status_of(receipt)
        return published_out(receipt)
