"""What the OpenAPI document says of event streams (protocol.md, section 4)."""

from __future__ import annotations

from typing import Any

from rtcli_server.problems import problem_answers
from rtcli_server.transports.sse.stream_request import MEDIA_TYPE

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until either side ends them",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}
_STAY_AWAY: dict[int | str, dict[str, Any]] = {204: {"description": "The user was kicked; do not come back"}}
_ROOM = {
    "name": "room",
    "in": "query",
    "description": "A room to follow; several times for several rooms",
    "schema": {"type": "array", "items": {"type": "string"}},
}
_CURSOR = {
    "name": "last_event_id",
    "in": "query",
    "description": "Where to resume: the `id` of an event. The header Last-Event-ID goes before it",
    "schema": {"type": "string"},
}
_BEARER: list[dict[str, list[str]]] = [{"HTTPBearer": []}]


def of_events(*, with_rooms: bool) -> dict[str, Any]:
    """Describe a stream that needs a token, as arguments of `add_api_route`."""
    parameters = [_ROOM, _CURSOR] if with_rooms else [_CURSOR]
    return {
        "responses": _EVENTS | _STAY_AWAY | problem_answers(403, 406),
        "openapi_extra": {"parameters": parameters, "security": _BEARER},
    }


def of_heartbeats() -> dict[str, Any]:
    """Describe the stream of heartbeats, which is open to everybody."""
    return {"responses": _EVENTS | problem_answers(406)}
