"""The deployment under test: its address, whether it may be loaded, and whether it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from random import SystemRandom

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.adapters.interface import Opening, WsAdapter
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.audit.token import MAX_RUN
from rtcli.load.core.context import Credentials, WorkerSpec, tls_of
from rtcli.load.core.feeders import Feeders, UserScope, always
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.errors import RefusedError
from rtcli.load.net.source_addresses import SourceAddresses, resolve
from rtcli.load.net.websocket import Receiver, WebSocketConnection, open_websocket
from rtcli.load.scenario.model import Role, Scenario
from rtcli.load.scenario.protocols import AdapterError
from rtcli.load.scenario.steps import Kill
from rtcli.protocol.codes import CloseCode

_PROBE_S = 10.0


def check_allowed(endpoint: Endpoint, allowed: Collection[str]) -> None:
    """Raise CliError (2) for a host that is neither this machine nor named by `--allow-remote`."""
    if not endpoint.is_loopback and endpoint.host not in allowed:
        raise CliError(
            f"{endpoint.host} is not this machine: load is only sent where that is said to be wanted",
            hint=f"if you may load it: --allow-remote {endpoint.host}",
        )


async def make_spec(
    scenario: Scenario,
    endpoint: Endpoint,
    credentials: Credentials,
    *,
    workers: int,
    unix_start: float,
    insecure: bool = False,
) -> WorkerSpec:
    """Make the workers' spec; looks up the host. Raises CliError (3)."""
    try:
        address, family = await resolve(endpoint.host, endpoint.port)
    except OSError:
        raise CliError(
            f"{endpoint.host}: no such host", hint="is its name right?", exit_code=Exit.CANNOT_CONNECT
        ) from None
    run = SystemRandom().randint(1, MAX_RUN)  # not from the seed: runs must not mix
    return WorkerSpec(
        scenario, endpoint, address, family, credentials, run, unix_start, workers=workers, insecure=insecure
    )


class _Probe(Receiver):
    """Receives the first frame of a server."""

    def __init__(self) -> None:
        self.first: asyncio.Future[tuple[int, str] | None] = asyncio.get_running_loop().create_future()

    @override
    def on_frame(self, data: bytes, now: int) -> None:
        if not self.first.done():
            self.first.set_result(None)

    @override
    def on_closed(self, code: int, reason: str) -> None:
        if not self.first.done():
            self.first.set_result((code, reason))


async def probe(spec: WorkerSpec) -> None:
    """Open one connection as the first WebSocket role does. Raises CliError (3, 4) when that fails."""
    for role in spec.scenario.roles.values():
        try:
            adapter = adapter_for(spec.scenario, role)
        except AdapterError as error:
            raise CliError(str(error), hint="docs/adapters.md says what an adapter must have") from None
        varies = spec.scenario.target.path is not None and spec.scenario.target.path.constant is None
        if adapter.transport == "ws" and not varies:
            await _probe_ws(spec, role, adapter)
            return
    await _probe_tcp(spec)


async def _probe_tcp(spec: WorkerSpec) -> None:
    try:
        async with asyncio.timeout(_PROBE_S):
            made = await SourceAddresses(spec.address, spec.endpoint.port, spec.family).connect()
    except (OSError, TimeoutError) as error:
        raise _unreachable(spec.endpoint, error) from None
    made.close()


async def _probe_ws(spec: WorkerSpec, role: Role, adapter: WsAdapter) -> None:
    token = spec.credentials.token(0, f"{role.name}-1", f"{role.name} 1", spec.unix_start)
    path = spec.scenario.target.path
    opening = Opening(token=token, path=None if path is None else path.constant)
    receiver = _Probe()
    connection = None
    try:
        connection = await open_websocket(
            receiver,
            adapter.url(spec.endpoint, opening),
            sources=SourceAddresses(spec.address, spec.endpoint.port, spec.family),
            headers=adapter.headers(opening),
            subprotocols=adapter.subprotocols,
            tls=tls_of(spec) if spec.endpoint.secure else None,
            timeout=_PROBE_S,
        )
        end = await _greeting(spec, role, adapter, connection, receiver) if adapter.greets else None
    except RefusedError as error:
        raise _refused(spec.endpoint, error.status, str(error)) from None
    except (OSError, TimeoutError) as error:
        raise _unreachable(spec.endpoint, error) from None
    finally:
        if connection is not None:
            connection.kill(Kill.FIN)
    if end is not None:
        raise _closed(spec.endpoint, *end)


async def _greeting(
    spec: WorkerSpec, role: Role, adapter: WsAdapter, connection: WebSocketConnection, receiver: _Probe
) -> tuple[int, str] | None:
    """Send a user's first frames and wait: None when a frame comes back, else how the server closed."""
    scope = UserScope(
        Feeders(spec.scenario),
        role=role.name,
        index=0,
        number=0,
        user_id=f"{role.name}-1",
        name=f"{role.name} 1",
        run=spec.run_word,
        rng=always(seeded_rng(spec.scenario.seed, role.name, 0)),
    )
    for frame in adapter.hello(scope):
        connection.send(frame)
    return await asyncio.wait_for(receiver.first, _PROBE_S)


def _unreachable(endpoint: Endpoint, error: Exception) -> CliError:
    if isinstance(error, ConnectionRefusedError):
        text = f"{endpoint.authority} refused the connection"
    elif isinstance(error, TimeoutError):
        text = f"{endpoint.authority} did not answer within {_PROBE_S:.0f} s"
    else:
        text = f"{endpoint.authority}: {getattr(error, 'strerror', None) or error}"
    hint = "is the server up? or let the load test start one: --serve"
    return CliError(text, hint=hint, exit_code=Exit.CANNOT_CONNECT)


def _refused(endpoint: Endpoint, status: int, text: str) -> CliError:
    if status in {401, 403}:
        return CliError(
            f"{endpoint.authority} refused the token (HTTP {status})",
            hint="give the key that it verifies with: --secret-file F, or tokens: --token-file, --users-file",
            exit_code=Exit.AUTH,
        )
    return CliError(
        f"{endpoint.authority} does not take WebSockets there: {text}",
        hint="is it the right URL, and the protocol that the scenario's target names?",
        exit_code=Exit.CANNOT_CONNECT,
    )


def _closed(endpoint: Endpoint, code: int, reason: str) -> CliError:
    if code == CloseCode.REFUSED:
        return CliError(
            f"{endpoint.authority} refused the connection: {reason or code}",
            hint="give the key that it verifies with: --secret-file F, or tokens: --token-file, --users-file",
            exit_code=Exit.AUTH,
        )
    return CliError(
        f"{endpoint.authority} closed the connection at once ({code}{f' {reason}' if reason else ''})",
        hint="is it the protocol that the scenario's target names?",
        exit_code=Exit.CANNOT_CONNECT,
    )
