"""Bodies and answers of the HTTP API, as its OpenAPI document shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from rtcli.protocol.exclusion import MAX_EXCLUDED
from rtcli.protocol.messages import MAX_CONTENT, MAX_ID
from rtcli.protocol.publication import EVENT_NAME

MAX_BATCH = 100

Id = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=MAX_ID,
        description="Idempotency key: repeated within 5 minutes, it counts once",
    ),
]
UserId = Annotated[int | str, Field(description="The token's `sub`; a decimal integer as a number")]


class _Body(BaseModel):
    # As in the whole protocol: unknown keys are ignored, and a number is not a string.
    model_config = ConfigDict(strict=True, extra="ignore")


class ExcludeIn(_Body):
    """Who gets the position alone, at most 100. A user as in messages: an integer may be a number."""

    users: Annotated[list[int | str], Field(max_length=MAX_EXCLUDED)] = []
    connections: Annotated[list[str], Field(max_length=MAX_EXCLUDED)] = []


Exclude = Annotated[ExcludeIn | None, Field(description="Needs the scope `publish`")]


class MessageIn(_Body):
    """A chat message."""

    content: Annotated[str, Field(min_length=1, max_length=MAX_CONTENT)]
    id: Id = None
    exclude: Exclude = None


class DirectIn(_Body):
    """An event for one connection, with a name of the sender's own."""

    event: Annotated[
        str,
        Field(
            description="1-64 characters of A-Z a-z 0-9 _ . : / -, but none of the protocol's own names",
            examples=["order.paid"],
            json_schema_extra={"pattern": f"^{EVENT_NAME.pattern}$"},
        ),
    ]
    data: Annotated[dict[str, Any], Field(description="Any JSON object")] = {}


class EventIn(DirectIn):
    """An event with a name of the publisher's own."""

    id: Id = None
    exclude: Exclude = None


class PublicationIn(_Body):
    """Part of a batch: a message (`room`, `content`), or an event (`event`, `data`).

    An event goes to `user`, to `connection` (without an id), or to all.
    """

    room: str | None = None
    content: Annotated[str | None, Field(min_length=1, max_length=MAX_CONTENT)] = None
    user: str | None = None
    connection: str | None = None
    event: str | None = None
    data: dict[str, Any] = {}
    id: Id = None
    exclude: Exclude = None


class InvalidPart(NamedTuple):
    """A part of a batch that is no `PublicationIn`: what pydantic says of it."""

    errors: Sequence[Any]


def _part_or_mistakes(value: object, validate: ValidatorFunctionWrapHandler) -> PublicationIn | InvalidPart:
    try:
        return cast("PublicationIn", validate(value))
    except ValidationError as error:
        return InvalidPart(error.errors(include_url=False, include_context=False, include_input=False))


# Validated one by one: an `InvalidPart` may be in the place of a publication. So anything is accepted there.
_Part = Annotated[PublicationIn, WrapValidator(_part_or_mistakes, json_schema_input_type=PublicationIn | Any)]


class BatchIn(_Body):
    """Publications, in this order. One that is malformed fails alone, whatever it is."""

    publications: Annotated[list[_Part], Field(min_length=1, max_length=MAX_BATCH)]

    @property
    def parts(self) -> Sequence[PublicationIn | InvalidPart]:
        """The publications, and what is wrong with those that are none."""
        return self.publications


class QueuedOut(BaseModel):
    """To how many connections it was queued: on this instance, and on all instances where that is known."""

    here: int
    deployment: int | None = None


class SentOut(BaseModel):
    """To how many connections an event was queued that is in no log."""

    queued: QueuedOut


class PublishedOut(BaseModel):
    """The position in the log. With `duplicate`, it was published before, under the same id."""

    channel: Annotated[str, Field(examples=["room:general"])]
    epoch: Annotated[str, Field(examples=["k3f9"])]
    offset: Annotated[int, Field(examples=[42])]
    position: Annotated[str, Field(examples=["k3f9-42"])]
    duplicate: bool
    queued: QueuedOut


class FieldErrorOut(BaseModel):
    """A mistake in a part: its place, and what is wrong there."""

    field: str
    message: str


class BatchResult(BaseModel):
    """The outcome of one part: 201 or 200 and its position, or the status and code of its error.

    Of an event for one connection 202, and to how many it was queued.
    """

    status: int
    published: PublishedOut | None = None
    queued: QueuedOut | None = None
    code: str | None = None
    detail: str | None = None
    errors: list[FieldErrorOut] | None = None
    retry_after_ms: int | None = None


class BatchOut(BaseModel):
    """The outcomes, in the order of the parts."""

    results: list[BatchResult]


class MessageOut(BaseModel):
    """A message of the log."""

    room: str
    content: str
    sender_id: UserId
    sender_name: str
    timestamp: str
    id: str | None = None
    offset: int
    epoch: str


class PageOut(BaseModel):
    """Messages in order. `top` is the end of the log; pass `next` as `since` to get the next page.

    With `since`: `recovered` is true when nothing is missing between it and the first message, else `reason`
    says why (`epoch_changed`, `trimmed`, `future`). `skipped`: positions on this page of what is not for the
    caller.
    """

    room: str
    messages: list[MessageOut]
    skipped: list[str]
    top: str
    next: str
    more: bool
    recovered: bool | None = None
    reason: str | None = None


class RoomOut(BaseModel):
    """A room that has members."""

    room: str
    member_count: int


class RoomsOut(BaseModel):
    """The rooms that the caller may join."""

    rooms: list[RoomOut]


class MemberOut(BaseModel):
    """A member of a room."""

    user_id: UserId
    name: str


class MembersOut(BaseModel):
    """The first 200 members of a room, and their number."""

    room: str
    members: list[MemberOut]
    member_count: int


class ClosedOut(BaseModel):
    """Number of connections and streams that were closed."""

    closed: int


class RevocationIn(_Body):
    """A token (`jti`), or the tokens that a user got before a time."""

    jti: str | None = None
    user: str | None = None
    issued_before: Annotated[
        str | None,
        Field(description="RFC 3339; now, when it is not given", examples=["2026-05-01T09:30:00Z"]),
    ] = None
    until: Annotated[
        str | None, Field(description="RFC 3339; when the last of those tokens has expired at the latest")
    ] = None


class RevokedOut(BaseModel):
    """Until when the revocation is kept."""

    until: str


class RefreshedOut(BaseModel):
    """When the stream ends, unless it is refreshed again."""

    expires_at: str
