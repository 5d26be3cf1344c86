"""All settings of the server, each with its unit in its name. In the environment they are `RTCLI_SERVER_*`.

Only what composes a server reads them; everything else takes plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationInfo, field_validator

ENV_PREFIX = "RTCLI_SERVER_"
OFF = "off"  # no limit
# RFC 3986: no user name, no fragment, and something of a host.
_WEBHOOK_URL = re.compile(r"https?://[^\s/?#@\\]+(?:[/?][^\s#]*)?")
_WEBHOOK_SECRET = re.compile(
    r"whsec_(?=.{32,88}\Z)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
)


class Settings(BaseModel):
    """The settings of one server. Unknown names and invalid values raise pydantic's ValidationError."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    # Where it listens.
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1)  # processes of `rtcli serve` on this port
    worker_port: int | None = Field(default=None, ge=1, le=65_535)  # the first worker's own; others follow
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()  # proxies whose X-Forwarded-For is trusted
    tls_cert: Path | None = None
    tls_key: Path | None = None
    fast_websockets: bool = True  # picows where it works, else the portable transport

    # The log.
    store: str = "memory:"
    history_size: int = Field(default=1_000, ge=1)  # publications kept per channel
    history_ttl_s: float = Field(default=86_400.0, gt=0)
    history_channel_bytes: int = Field(default=8 * 1024 * 1024, ge=1)
    history_total_bytes: int = Field(default=256 * 1024 * 1024, ge=1)  # over all channels; not with Redis
    max_replay: int = Field(default=300, ge=0, le=500)  # publications that one resume returns

    # Who may connect.
    secrets: tuple[str, ...] = Field(default=(), repr=False)
    public_keys: tuple[str, ...] = ()
    jwks_url: str | None = None
    audience: str | None = None
    issuer: str | None = None
    origins: tuple[str, ...] = ()
    user_connections: int | None = Field(default=20, ge=1)  # None: no limit
    address_connections: int | None = Field(default=100, ge=1)
    node_connections: int | None = Field(default=None, ge=1)  # None: 90 % of the file descriptors
    rate_limit_per_s: float | None = Field(default=100.0, gt=0)  # messages of one connection
    user_rate_factor: float = Field(default=5.0, ge=1)  # times rate_limit_per_s, for all that one user does

    # WebSocket connections.
    ping_interval_s: float = Field(default=30.0, gt=0)  # the ping message of /ws/v2
    pong_timeout_s: float = Field(default=10.0, gt=0)
    max_misses: int = Field(default=3, ge=1)
    rfc_ping_interval_s: float = Field(default=20.0, gt=0)  # RFC 6455 pings of /ws
    rfc_ping_timeout_s: float = Field(default=20.0, gt=0)
    max_rooms: int = Field(default=100, ge=1)
    max_message_bytes: int = Field(default=65_536, ge=1_024)
    max_fragments: int = Field(default=64, ge=1)
    message_deadline_s: float = Field(default=10.0, gt=0)  # for all fragments of one message
    max_outstanding: int = Field(default=256, ge=1)  # publishes of one connection in flight to the log
    presence_grace_s: float = Field(default=5.0, ge=0)
    typing_s: float = Field(default=6.0, gt=0)
    token_expiring_s: float = Field(default=60.0, ge=0)
    expiry_grace_s: float = Field(default=25.0, ge=0)

    # Several instances (with a Redis log).
    instance_lease_s: float = Field(default=20.0, gt=0)  # until an instance without a heartbeat is dead

    # Event streams.
    stream_heartbeat_s: float = Field(default=30.0, gt=0)
    stream_retry_ms: int = Field(default=3_000, ge=0)

    # Slow consumers.
    send_budget_bytes: int = Field(default=1_048_576, ge=65_536)  # what may wait for one client
    # For all clients of the process. None: a quarter of the memory, which workers share; at least 256 MiB.
    memory_budget_bytes: int | None = Field(default=None, ge=1_048_576)
    slow_deadline_s: float = Field(default=30.0, gt=0)

    # Handshakes and shutdown.
    header_deadline_s: float = Field(default=10.0, gt=0)
    max_header_bytes: int = Field(default=16_384, ge=1_024)
    max_header_fields: int = Field(default=100, ge=1)
    tcp_user_timeout_s: float = Field(default=45.0, gt=0)
    drain_timeout_s: float = Field(default=10.0, gt=0)
    retry_spread_s: float = Field(default=5.0, ge=0)  # the time over which clients reconnect after a drain

    # Hooks: of an application that embeds the server, or over HTTP.
    hook_deadline_s: float = Field(default=5.0, gt=0)  # for the answer of a hook
    webhook_url: str | None = None
    webhook_secrets: tuple[str, ...] = Field(
        default=(), repr=False, validate_default=True
    )  # whsec_…; each signs
    webhook_events: tuple[Literal["connect", "join", "publish"], ...] = ("connect", "join", "publish")

    log_format: Literal["text", "json"] = "text"

    @field_validator("trusted_proxies")
    @classmethod
    def _not_everybody(cls, networks: tuple[IPvAnyNetwork, ...]) -> tuple[IPvAnyNetwork, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("to trust every address lets each client choose its own")
        return networks

    @field_validator("webhook_url")
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        if url is not None and not _WEBHOOK_URL.fullmatch(url):
            raise ValueError("an http:// or https:// URL without user name and fragment is wanted")
        return url

    @field_validator("webhook_secrets")
    @classmethod
    def _strong_secrets(cls, secrets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("webhook_url") is not None and not secrets:
            raise ValueError("webhook_url needs one: every request is signed")
        if not all(map(_WEBHOOK_SECRET.fullmatch, secrets)):
            raise ValueError("whsec_ and the base64 of 24 to 64 bytes is wanted")
        return secrets

    @classmethod
    def from_env(cls, env: Mapping[str, str], **overrides: object) -> Self:
        """Read `RTCLI_SERVER_*` from `env`. Overrides that are not None take precedence.

        Lists are separated by white space, and `off` means no limit, in both. Raises ValidationError for
        unknown names and invalid values.
        """
        values: dict[str, object] = {}
        for name, text in env.items():
            if name.startswith(ENV_PREFIX):
                values[name.removeprefix(ENV_PREFIX).lower()] = cls._parse(name, text)
        values.update({name: value for name, value in overrides.items() if value is not None})
        given = {name: None if value == OFF else value for name, value in values.items()}
        return cls.model_validate(given)

    @classmethod
    def _parse(cls, name: str, text: str) -> object:
        field = cls.model_fields.get(name.removeprefix(ENV_PREFIX).lower())
        if field is not None and get_origin(field.annotation) is tuple:
            return tuple(text.split())
        return text
