"""Makes the parts of a server from its settings, or from other parts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from typing_extensions import override

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli_server.auth.admission import Admission, Rejection
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.auth.revocations import RevokedTokens
from rtcli_server.broker import Broker, Coordinator, Retention
from rtcli_server.cluster.deployment import Deployment
from rtcli_server.cluster.shared_rates import SharedRates
from rtcli_server.connections.hub import Client, HubObserver
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.hooks import HookGate, Hooks, max_calls
from rtcli_server.hooks.admission import HookedAdmission
from rtcli_server.hooks.disconnects import Disconnects
from rtcli_server.limits.connection_caps import CapReached, ConnectionCaps, default_node_limit
from rtcli_server.limits.user_rates import UserRates
from rtcli_server.memory_limit import default_budget, memory_limit
from rtcli_server.metrics.registry import Metrics
from rtcli_server.presence.announcements import Announcements
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.presence.service import LocalPresence
from rtcli_server.session.settings import SessionSettings
from rtcli_server.settings import Settings
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.tasks import Spawn


def new_authenticator(settings: Settings, revoked: RevokedTokens) -> Authenticator:
    """Prepare the keys. Raises KeyConfigError."""
    return Authenticator(
        secrets=settings.secrets,
        public_keys=settings.public_keys,
        jwks_url=settings.jwks_url,
        audience=settings.audience,
        issuer=settings.issuer,
        revoked=revoked,
    )


def new_retention(settings: Settings) -> Retention:
    """How much the log keeps."""
    return Retention(
        max_count=settings.history_size,
        max_age_s=settings.history_ttl_s,
        max_channel_bytes=settings.history_channel_bytes,
        max_total_bytes=settings.history_total_bytes,
    )


def new_caps(settings: Settings, rng: random.Random) -> ConnectionCaps:
    """The limits on the number of open connections."""
    return ConnectionCaps(
        node=settings.node_connections or default_node_limit(),
        user=settings.user_connections,
        address=settings.address_connections,
        rng=rng,
    )


def new_fanout(broker: Broker, clock: Clock, metrics: Metrics) -> Fanout:
    """Delivery of what the log has; its flushes are counted."""
    return Fanout(
        subscribe=broker.subscribe,
        unsubscribe=broker.unsubscribe,
        call_soon=lambda run: asyncio.get_running_loop().call_soon(run),
        timestamp=clock.timestamp,
        on_flush=metrics.flushed,
    )


def new_local_presence(occupancy: Occupancy, announcements: Announcements) -> LocalPresence:
    """The presence of a server that is alone; it announces who comes and who goes."""
    return LocalPresence(occupancy, on_joined=announcements.user_joined, on_left=announcements.user_left)


def new_send_budget(settings: Settings) -> SendBudget:
    """How much may wait for clients."""
    process_bytes = settings.memory_budget_bytes or default_budget(memory_limit(), settings.workers)
    return SendBudget(settings.send_budget_bytes, process_bytes)


def new_user_rates(settings: Settings, coordinator: Coordinator | None, spawn: Spawn) -> UserRates | None:
    """The message rates of users, over all instances when there is a coordinator; None for no limit."""
    if settings.rate_limit_per_s is None:
        return None
    rate_per_s = settings.rate_limit_per_s * settings.user_rate_factor
    burst = 2 * rate_per_s
    if coordinator is None:
        return UserRates(rate_per_s, burst)
    return SharedRates(rate_per_s, burst, coordinator, spawn=spawn)


def new_session_settings(settings: Settings) -> SessionSettings:
    """The intervals and limits of WebSocket connections."""
    rate = settings.rate_limit_per_s
    return SessionSettings(
        ping_interval_s=settings.ping_interval_s,
        pong_timeout_s=settings.pong_timeout_s,
        max_misses=settings.max_misses,
        rfc_ping_interval_s=settings.rfc_ping_interval_s,
        rfc_ping_timeout_s=settings.rfc_ping_timeout_s,
        max_rooms=settings.max_rooms,
        token_expiring_s=settings.token_expiring_s,
        expiry_grace_s=settings.expiry_grace_s,
        rate_limit_per_s=rate,
        rate_burst=2 * (rate or 100.0),
    )


def new_gate(
    settings: Settings, hooks: Hooks | None, budget: SendBudget, metrics: Metrics, clock: Clock
) -> HookGate | None:
    """What asks the hooks of an application; None when it has none. Raises ValueError for two of them."""
    if settings.webhook_url is not None:
        if hooks is not None:
            raise ValueError("there are hooks and a webhook_url: who decides?")
        from rtcli_server.hooks.webhooks import Webhooks  # noqa: PLC0415 - httpx is slow to import

        hooks = Webhooks(
            settings.webhook_url,
            settings.webhook_secrets,
            settings.webhook_events,
            deadline_s=settings.hook_deadline_s,
            now=clock.now,
            wall=clock.wall,
        )
    if hooks is None:
        return None
    calls = max_calls(budget.process_bytes)
    return HookGate(hooks, deadline_s=settings.hook_deadline_s, calls=calls, metrics=metrics, now=clock.now)


def new_admission(
    gate: HookGate | None,
    authenticator: Authenticator,
    origins: OriginPolicy,
    check_capacity: Callable[[str, str], Rejection | None],
    rejections: Counter[str],
    *,
    retry_after_ms: Callable[[], int],
) -> Admission:
    """Who may connect, and with a hook, what the application says to that."""
    if gate is None or "connect" not in gate.implemented:
        return Admission(authenticator, origins, check_capacity, rejections, retry_after_ms=retry_after_ms)
    return HookedAdmission(
        gate, authenticator, origins, check_capacity, rejections, retry_after_ms=retry_after_ms
    )


def new_disconnects(gate: HookGate | None, spawn: Spawn) -> Disconnects | None:
    """What tells the application who has gone; None when it does not want to know."""
    return Disconnects(gate, spawn) if gate is not None and "disconnect" in gate.implemented else None


class _Observers(HubObserver):
    """Who looks for revoked tokens, the other instances and the application are told of each client."""

    def __init__(
        self, revoked: HubObserver, others: HubObserver | None, disconnects: Disconnects | None
    ) -> None:
        self._revoked = revoked
        self._others = others
        self._disconnects = disconnects

    @override
    def opened(self, connection: Client) -> None:
        self._revoked.opened(connection)
        if self._others is not None:
            self._others.opened(connection)

    @override
    def closed(self, connection: Client) -> None:
        if self._others is not None:
            self._others.closed(connection)
        if self._disconnects is not None:
            self._disconnects.report(connection)


def new_observer(
    revoked: HubObserver, deployment: Deployment | None, disconnects: Disconnects | None
) -> HubObserver:
    """Whoever is told of clients that come and go."""
    others = None if deployment is None else deployment.user_connections
    return revoked if others is None and disconnects is None else _Observers(revoked, others, disconnects)


def rejection_of_cap(reached: CapReached) -> Rejection:
    """How a connection is answered that is one too many."""
    text = f"Too many connections ({reached.cap})"
    return Rejection(503, ErrorCode.RATE_LIMITED, text, CloseCode.TRY_AGAIN_LATER, reached.retry_after_ms)
