"""Probes the target before a run: connects once as the first user of each role would."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.adapters.interface import Hello, Joined, Opening, SseAdapter, Unreadable, WsAdapter
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.core.context import WorkerSpec, tls_of
from rtcli.load.core.feeders import Feeders, UserScope, always
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.errors import AdapterFailedError, RefusedError
from rtcli.load.net.event_stream import SseConnection, SseReceiver, open_sse
from rtcli.load.net.source_addresses import SourceAddresses
from rtcli.load.net.websocket import Receiver, open_websocket
from rtcli.load.scenario.expressions import MissingDataError
from rtcli.load.scenario.model import Role
from rtcli.load.scenario.protocols import AdapterError
from rtcli.load.scenario.steps import Connect, Kill, walk
from rtcli.load.users.event_stream import encode_opening
from rtcli.load.users.flow.connection import make_opening
from rtcli.protocol.codes import CloseCode
from rtcli.protocol.sse import ServerSentEvent, SSEParser

_PROBE_S = 10.0


class _WsProbe(Receiver):
    """Receives what a server sends first, until the greeting that the adapter waits for."""

    def __init__(self, adapter: WsAdapter) -> None:
        self.greeting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames = 0
        self._adapter = adapter

    @override
    def on_frame(self, data: bytes, now: int) -> None:
        self.frames += 1
        if self.greeting.done():
            return
        try:
            event = self._adapter.parse(data)
        except Exception as error:  # noqa: BLE001 - whoever waits for the greeting gets it
            self.greeting.set_exception(error)
            return
        if isinstance(event, Hello):
            self.greeting.set_result(None)
        elif isinstance(event, Unreadable):
            self.greeting.set_exception(_IncompleteError(event.reason))

    @override
    def on_closed(self, code: int, reason: str) -> None:
        if not self.greeting.done():
            self.greeting.set_exception(_ClosedError(code, reason))


class _SseProbe(SseReceiver):
    """Receives the first events of a stream, until the greeting that the adapter waits for."""

    def __init__(self, adapter: SseAdapter) -> None:
        self.greeting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames = 0
        self._adapter = adapter

    @override
    def on_open(self, connection: SseConnection) -> None:
        if not self._adapter.greets:
            self.greeting.set_result(None)

    @override
    def on_event(self, event: ServerSentEvent, now: int) -> None:
        self.frames += 1
        if self.greeting.done():
            return
        try:
            found = self._adapter.parse(event.event, event.data, event.id)
        except Exception as error:  # noqa: BLE001 - whoever waits for the greeting gets it
            self.greeting.set_exception(error)
            return
        for item in found:
            if isinstance(item, Unreadable):
                self.greeting.set_exception(_IncompleteError(item.reason))
                return
        if any(isinstance(item, Hello | Joined) for item in found):
            self.greeting.set_result(None)

    @override
    def on_closed(self, code: int, reason: str) -> None:
        if not self.greeting.done():
            self.greeting.set_exception(_ClosedError(code, reason))


class _IncompleteError(Exception):
    """The server's greeting is not as the protocol has it."""


class _ClosedError(Exception):
    """The server ended the connection before its greeting."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def probe(spec: WorkerSpec) -> None:
    """Connect once as the first user of each role does: same path, headers, rooms, token and subprotocols.

    Nothing is sent but that and an adapter's first frames; nothing is published, and no redirect is followed.
    Raises CliError (3, 4; 1 for a bug of an adapter).
    """
    seen: set[object] = set()
    number = 0
    for role in spec.scenario.roles.values():
        try:
            adapter = adapter_for(spec.scenario, role)
        except AdapterError as error:
            raise CliError(str(error), hint="docs/adapters.md says what an adapter must have") from None
        scope = _first_user(spec, role, number)
        opening = _opening(spec, role, scope, number)
        number += role.users or 0
        if opening is not None and (key := _key(spec.scenario.protocol_of(role), opening)) not in seen:
            seen.add(key)
            await _probe_role(spec, role, adapter, opening, scope)
    if not seen:
        await _probe_tcp(spec)


def _first_user(spec: WorkerSpec, role: Role, number: int) -> UserScope:
    rng = seeded_rng(spec.scenario.seed, role.name, 0)
    return UserScope(
        Feeders(spec.scenario),
        role=role.name,
        index=0,
        number=number,
        user_id=f"{role.name}-1",
        name=f"{role.name} 1",
        run=spec.run_word,
        rng=always(rng),
    )


def _opening(spec: WorkerSpec, role: Role, scope: UserScope, number: int) -> Opening | None:
    """What the role's first `connect` asks for; None without one, or when it needs a server's answer."""
    step = next((step for step in walk(role.flow) if isinstance(step, Connect)), None)
    if step is None:
        return None
    token = spec.credentials.token(number, f"{role.name}-1", f"{role.name} 1", spec.unix_start)
    rng = seeded_rng(spec.scenario.seed, role.name, 0)
    try:
        return make_opening(spec.scenario, role, step, scope, rng, token=token)
    except MissingDataError:
        return None


def _key(protocol: str, opening: Opening) -> object:
    """Equal for openings that differ in their token alone."""
    return protocol, opening.path, tuple(opening.headers.items()), tuple(opening.rooms), opening.events


async def _probe_role(
    spec: WorkerSpec, role: Role, adapter: WsAdapter | SseAdapter, opening: Opening, scope: UserScope
) -> None:
    """Probe one way to connect. What the role expects (`expect_errors`, `expect_close`) is no error."""
    where = f"{spec.endpoint.authority}{opening.path or ''}"
    expected = {error.code for error in role.expect_errors}
    try:
        if adapter.transport == "ws":
            await _probe_ws(spec, adapter, opening, scope)
        else:
            await _probe_sse(spec, adapter, opening)
    except RefusedError as error:
        if f"http_{error.status}" not in expected:
            raise _refused(where, role, error, stream=adapter.transport == "sse") from None
    except _ClosedError as error:
        if f"close_{error.code}" not in expected and error.code not in role.expect_close:
            raise _closed(where, role, error) from None
    except _IncompleteError as error:
        raise CliError(
            f"{where} does not speak the protocol as it should: {error}",
            hint="docs/protocol.md says what the message must have; for another protocol: target: protocol",
            exit_code=Exit.CANNOT_CONNECT,
        ) from None
    except AdapterFailedError as error:
        raise CliError(
            f"a bug in the adapter `{error.protocol}`: {error}",
            hint="docs/adapters.md says what its methods return",
            exit_code=Exit.BUG,
        ) from None
    except (OSError, TimeoutError) as error:
        raise _unreachable(spec.endpoint, error) from None


async def _probe_tcp(spec: WorkerSpec) -> None:
    try:
        async with asyncio.timeout(_PROBE_S):
            made = await SourceAddresses(spec.address, spec.endpoint.port, spec.family).connect()
    except (OSError, TimeoutError) as error:
        raise _unreachable(spec.endpoint, error) from None
    made.close()


async def _probe_ws(spec: WorkerSpec, adapter: WsAdapter, opening: Opening, scope: UserScope) -> None:
    receiver = _WsProbe(adapter)
    connection = await open_websocket(
        receiver,
        adapter.url(spec.endpoint, opening),
        sources=SourceAddresses(spec.address, spec.endpoint.port, spec.family),
        headers=adapter.headers(opening),
        subprotocols=adapter.subprotocols,
        tls=tls_of(spec) if spec.endpoint.secure else None,
        timeout=_PROBE_S,
    )
    try:
        for frame in adapter.hello(scope):
            connection.send(frame)
        if adapter.greets:
            await _greeted(receiver)
    finally:
        connection.kill(Kill.FIN)
        _retrieve(receiver.greeting)


async def _probe_sse(spec: WorkerSpec, adapter: SseAdapter, opening: Opening) -> None:
    receiver = _SseProbe(adapter)
    connection = await open_sse(
        receiver,
        encode_opening(adapter, spec.endpoint, opening),
        SSEParser(),
        sources=SourceAddresses(spec.address, spec.endpoint.port, spec.family),
        tls=tls_of(spec) if spec.endpoint.secure else None,
        timeout=_PROBE_S,
    )
    try:
        await _greeted(receiver)
    finally:
        connection.kill(Kill.FIN)
        _retrieve(receiver.greeting)


def _retrieve(greeting: asyncio.Future[None]) -> None:
    """Look at the outcome: nobody may have waited for it."""
    if greeting.done() and not greeting.cancelled():
        greeting.exception()


async def _greeted(receiver: _WsProbe | _SseProbe) -> None:
    """Wait for the greeting. Raises TimeoutError after silence, _IncompleteError after anything else."""
    try:
        async with asyncio.timeout(_PROBE_S):
            await receiver.greeting
    except TimeoutError:
        if not receiver.frames:
            raise
        raise _IncompleteError(
            f"{receiver.frames} messages came within {_PROBE_S:.0f} s, and none of them is its greeting"
        ) from None


def _unreachable(endpoint: Endpoint, error: Exception) -> CliError:
    if isinstance(error, ConnectionRefusedError):
        text = f"{endpoint.authority} refused the connection"
    elif isinstance(error, TimeoutError):
        text = f"{endpoint.authority} did not answer within {_PROBE_S:.0f} s"
    else:
        text = f"{endpoint.authority}: {getattr(error, 'strerror', None) or error}"
    hint = "is the server up? or let the load test start one: --serve"
    return CliError(text, hint=hint, exit_code=Exit.CANNOT_CONNECT)


def _refused(where: str, role: Role, error: RefusedError, *, stream: bool) -> CliError:
    if error.status in {401, 403}:
        return CliError(
            f"{where} refused the token of {role.name} (HTTP {error.status})",
            hint="give the key that it verifies with: --secret-file F, or tokens: --token-file, --users-file",
            exit_code=Exit.AUTH,
        )
    what = "is no event stream" if stream else "does not take WebSockets"
    hint = "is it the right URL and path, and the protocol that the scenario's target names?"
    if 300 <= error.status < 400:
        hint = (
            "it redirects, and no redirect is followed: name the address that it leads to, with --url or path"
        )
    return CliError(f"{where} {what}, for {role.name}: {error}", hint=hint, exit_code=Exit.CANNOT_CONNECT)


def _closed(where: str, role: Role, error: _ClosedError) -> CliError:
    if error.code == CloseCode.REFUSED:
        return CliError(
            f"{where} refused the connection of {role.name}: {str(error) or error.code}",
            hint="give the key that it verifies with: --secret-file F, or tokens: --token-file, --users-file",
            exit_code=Exit.AUTH,
        )
    how = f"{error.code or 'ended the stream'} {error}".strip()
    return CliError(
        f"{where} closed the connection of {role.name} at once ({how})",
        hint="is it the protocol that the scenario's target names?",
        exit_code=Exit.CANNOT_CONNECT,
    )
