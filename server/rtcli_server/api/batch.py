"""The route that publishes several messages and events with one request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter

from rtcli.protocol.codes import ErrorCode
from rtcli_server.api.access import Access, Caller
from rtcli_server.api.answers import problem_of_validation
from rtcli_server.api.hooks import ApiHooks
from rtcli_server.api.models import (
    BatchIn,
    BatchOut,
    BatchResult,
    FieldErrorOut,
    InvalidPart,
    PublicationIn,
)
from rtcli_server.api.publishing import Publisher, Started, StartedDirect
from rtcli_server.api.receipts import published_out, queued_out, start_direct, status_of
from rtcli_server.auth.claims import Principal
from rtcli_server.problems import ProblemError, problem_answers


def add_batch(router: APIRouter, publisher: Publisher, access: Access, hooks: ApiHooks) -> None:
    """Add it to the router."""

    async def start_all(
        caller: Principal, parts: Sequence[PublicationIn | InvalidPart]
    ) -> AsyncIterator[Started | StartedDirect | ProblemError]:
        too_many: ProblemError | None = None
        for index, part in enumerate(parts):
            try:
                if index and too_many is None:  # the request itself has counted for the first one
                    access.take(caller)
            except ProblemError as problem:
                too_many = problem  # for the rest too, so that the order is kept when they are repeated
            try:
                yield too_many or await _start_part(publisher, hooks, caller, part)
            except ProblemError as problem:
                yield problem

    @router.post(
        "/batch", tags=["events"], responses=problem_answers(413, 415), response_model_exclude_none=True
    )
    async def publish_batch(body: BatchIn, caller: Caller) -> BatchOut:
        """Publish up to 100 messages and events in order; each fails by itself, a malformed one too."""
        started = [part async for part in start_all(caller, body.parts)]
        return BatchOut(results=[await _finish(publisher, part) for part in started])


async def _start_part(
    publisher: Publisher, hooks: ApiHooks, caller: Principal, part: PublicationIn | InvalidPart
) -> Started | StartedDirect:
    if isinstance(part, InvalidPart):
        raise problem_of_validation(part.errors)
    match part:
        case PublicationIn(room=str(room), content=str(content), user=None, connection=None, event=None):
            content = await hooks.content_of(
                caller, room, content, part.id, excludes=part.exclude is not None
            )
            return publisher.start_message(caller, room, content, part.id, exclude=part.exclude)
        case PublicationIn(
            room=None, content=None, user=None, connection=str(to), event=str(event), id=None, exclude=None
        ):
            return start_direct(publisher, caller, to, event, part.data)
        case PublicationIn(room=None, content=None, connection=None, event=str(event)):
            return publisher.start_event(caller, part.user, event, part.data, part.id, exclude=part.exclude)
    detail = "A part has room and content, or event and perhaps user or connection, and data"
    raise ProblemError(400, ErrorCode.INVALID_MESSAGE, detail)


async def _finish(publisher: Publisher, started: Started | StartedDirect | ProblemError) -> BatchResult:
    try:
        if isinstance(started, ProblemError):
            raise started
        if isinstance(started, StartedDirect):
            return BatchResult(status=202, queued=queued_out(await publisher.finish_direct(started)))
        receipt = await publisher.finish(started)
    except ProblemError as problem:
        return BatchResult(
            status=problem.status,
            code=problem.code,
            detail=problem.detail,
            errors=[FieldErrorOut(**error) for error in problem.errors] or None,
            retry_after_ms=problem.retry_after_ms,
        )
    return BatchResult(status=status_of(receipt), published=published_out(receipt))
