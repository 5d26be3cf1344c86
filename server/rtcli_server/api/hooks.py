"""The hooks of the application, asked for what comes over HTTP."""

from __future__ import annotations

from rtcli.protocol.rooms import room_of
from rtcli_server.auth.claims import Principal
from rtcli_server.hooks import Denial, HookGate, JoinRequest, PublishRequest
from rtcli_server.problems import ProblemError


class ApiHooks:
    """Asks the gate of a server; without one, or without that hook, everything stays as it is.

    What the token does not allow is not asked about: the API refuses it anyway.
    """

    def __init__(self, gate: HookGate | None) -> None:
        self._join = gate if gate is not None and "join" in gate.implemented else None
        self._publish = gate if gate is not None and "publish" in gate.implemented else None

    async def check_may_read(self, caller: Principal, room: str) -> None:
        """Raise ProblemError (403 or 503) unless the caller may be in this room, and read it."""
        if self._join is not None:
            denial = await self._join.join(
                JoinRequest(user_id=caller.user_id, name=caller.name, room=room, connection_id=None)
            )
            if denial is not None:
                raise _problem_of(denial)

    async def content_of(
        self, caller: Principal, spelling: str, content: str, message_id: str | None, *, excludes: bool
    ) -> str:
        """Return the content with which a message is published; `spelling` is that of its room.

        `excludes`: whether it says whom to exclude, which needs another right. Raises ProblemError (403 or
        503).
        """
        room = room_of(spelling)
        if self._publish is None or room is None or not caller.can_publish(room):
            return content
        if excludes and not caller.can_publish_events:
            return content
        verdict = await self._publish.publish(
            PublishRequest(
                user_id=caller.user_id,
                name=caller.name,
                room=room,
                content=content,
                id=message_id,
                connection_id=None,
            )
        )
        if isinstance(verdict, Denial):
            raise _problem_of(verdict)
        return verdict


def _problem_of(denial: Denial) -> ProblemError:
    status = 403 if denial.retry_after_ms is None else 503
    return ProblemError(status, denial.code, denial.text, retry_after_ms=denial.retry_after_ms)
