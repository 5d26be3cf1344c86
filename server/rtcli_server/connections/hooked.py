"""A WebSocket connection whose joins and messages the application is asked about.

While a hook is asked, the connection's further messages wait, as behind any command that has to wait: so its
commands keep their order, and what waits is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from typing_extensions import override

from rtcli_server.connections import commands
from rtcli_server.connections.websocket import ACTIONS, Connection
from rtcli_server.hooks import Denial, HookGate, JoinRequest, PublishRequest
from rtcli_server.session.decisions import Decision, Join, Publish

Actions: TypeAlias = Mapping[type[Decision], Callable[[Connection, Any], None]]


class HookedConnection(Connection):
    """Carries out decisions by a table of its own, in which hooks come first."""

    __slots__ = ("_actions",)

    def __init__(self, actions: Actions, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - those of Connection
        super().__init__(*arguments, **named)
        self._actions = actions

    @override
    def follow(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self._actions[type(decision)](self, decision)


def hooked_actions(gate: HookGate) -> Actions:
    """The table of a server with these hooks; what has no hook is done as without any."""

    async def join(connection: Connection, decision: Join) -> None:
        denial = await gate.join(
            JoinRequest(
                user_id=connection.user_id,
                name=connection.name,
                room=decision.room,
                connection_id=connection.connection_id,
            )
        )
        if denial is not None:
            _deny(connection, denial, decision.id)
        elif not connection.closing:
            await commands.join(connection, decision)

    async def publish(connection: Connection, decision: Publish) -> None:
        verdict = await gate.publish(
            PublishRequest(
                user_id=connection.user_id,
                name=connection.name,
                room=decision.room,
                content=decision.content,
                id=decision.id,
                connection_id=connection.connection_id,
            )
        )
        if isinstance(verdict, Denial):
            _deny(connection, verdict, decision.id)
        else:  # also when its client has gone meanwhile: the message was there before
            commands.publish(connection, Publish(decision.room, verdict, decision.id, decision.spelling))

    actions = dict(ACTIONS)
    if "join" in gate.implemented:
        actions[Join] = lambda connection, decision: connection.start(join(connection, decision))
    if "publish" in gate.implemented:
        actions[Publish] = lambda connection, decision: connection.start(publish(connection, decision))
    return actions


def _deny(connection: Connection, denial: Denial, message_id: str | None) -> None:
    if not connection.closing:
        commands.refuse(connection, denial.code, message_id, denial.text, denial.retry_after_ms)
