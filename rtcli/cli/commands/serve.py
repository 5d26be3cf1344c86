"""`rtcli serve`: the realtime server."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from rtcli.apps.serve import ServerRun
from rtcli.cli import options
from rtcli.cli.bundles import takes_bundles
from rtcli.client.secret_files import development_secret, read_secret
from rtcli.errors import CliError
from rtcli.terminal.console import console
from rtcli_server.settings import ENV_PREFIX, Settings

app = options.new_app()


@dataclass(frozen=True)
class ListenOptions:
    """Where to listen, and where the log is kept."""

    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDR", help="Address to listen on (127.0.0.1).")
    ] = None
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", min=0, max=65_535, metavar="N", help="Port (8000); 0 takes a free one."),
    ] = None
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="The log: memory: or sqlite:PATH or redis://HOST:PORT."),
    ] = None

    def settings(self) -> dict[str, object]:
        """The server's settings; None: not given."""
        return {"host": self.host, "port": self.port, "store": self.store}


@dataclass(frozen=True)
class AccessOptions:
    """Who may connect: the keys that tokens are verified with, and the origins of pages."""

    secret_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="Verify tokens with the secret in FILE; several for rotation. Without any key, on loopback: "
            "the development key.",
        ),
    ] = None
    public_key: Annotated[
        list[Path] | None,
        typer.Option("--public-key", metavar="FILE", help="Verify tokens with this public key (PEM)."),
    ] = None
    jwks_url: Annotated[
        str | None, typer.Option("--jwks-url", metavar="URL", help="Verify tokens with the keys at URL.")
    ] = None
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="ORIGIN", help="Let pages of this origin connect; several times."),
    ] = None

    def settings(self) -> dict[str, object]:
        """The server's settings; None: not given. Raises CliError (2) for files that cannot be used."""
        return {
            "secrets": tuple(read_secret(path, warn=console.warning) for path in self.secret_file or ())
            or None,
            "public_keys": tuple(map(_read_key, self.public_key or ())) or None,
            "jwks_url": self.jwks_url,
            "origins": tuple(self.origin or ()) or None,
        }


@dataclass(frozen=True)
class LimitOptions:
    """How much is kept, and how much one connection, user or address may do."""

    history_size: Annotated[
        int | None, typer.Option("--history-size", min=1, metavar="N", help="Publications kept per channel.")
    ] = None
    history_ttl: Annotated[
        float | None,
        typer.Option("--history-ttl", parser=options.duration, metavar="DUR", help="How long they are kept."),
    ] = None
    ping_interval: Annotated[
        float | None,
        typer.Option(
            "--ping-interval", parser=options.duration, metavar="DUR", help="Between the pings of /ws/v2."
        ),
    ] = None
    rate_limit: Annotated[
        str | None,
        typer.Option("--rate-limit", metavar="N/s|off", help="Messages of one connection per second."),
    ] = None
    user_connections: Annotated[
        str | None, typer.Option("--user-connections", metavar="N|off", help="Connections of one user.")
    ] = None
    address_connections: Annotated[
        str | None, typer.Option("--address-connections", metavar="N|off", help="Connections of one address.")
    ] = None
    memory_budget: Annotated[
        int | None,
        typer.Option(
            "--memory-budget",
            parser=options.size,
            metavar="SIZE",
            help="What may wait for clients in one process (a quarter of the memory, at least 256MiB).",
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """The server's settings; None: not given."""
        return {
            "history_size": self.history_size,
            "history_ttl_s": self.history_ttl,
            "ping_interval_s": self.ping_interval,
            "rate_limit_per_s": None if self.rate_limit is None else self.rate_limit.removesuffix("/s"),
            "user_connections": self.user_connections,
            "address_connections": self.address_connections,
            "memory_budget_bytes": self.memory_budget,
        }


@dataclass(frozen=True)
class TlsOptions:
    """The certificate."""

    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM).")
    ] = None
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")] = None

    def settings(self) -> dict[str, object]:
        """The server's settings; None: not given. Raises CliError (2) for one without the other."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise CliError("--tls-cert and --tls-key go together", hint="give both, or none")
        return {"tls_cert": self.tls_cert, "tls_key": self.tls_key}


@dataclass(frozen=True)
class ProcessOptions:
    """How the processes of the server start, log and end."""

    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file", metavar="FILE", help="Write the URL to FILE once connections are welcome."
        ),
    ] = None
    drain_timeout: Annotated[
        float | None,
        typer.Option("--drain-timeout", parser=options.duration, metavar="DUR", help="Time to end in order."),
    ] = None
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option("--log-format", help="How log lines look.")
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="N", help="Processes on this port (1); more need a redis:// store."
        ),
    ] = None
    worker_port: Annotated[
        int | None,
        typer.Option(
            "--worker-port",
            min=1,
            max=65_535,
            metavar="N",
            help="Also listen with worker 1 alone on port N, 2 on N+1, …: for their metrics.",
        ),
    ] = None
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="CIDR",
            help="Believe X-Forwarded-For of this address or network; several times.",
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """The server's settings; None: not given."""
        return {
            "drain_timeout_s": self.drain_timeout,
            "log_format": self.log_format,
            "workers": self.workers,
            "worker_port": self.worker_port,
            "trusted_proxies": tuple(self.trusted_proxy or ()) or None,
        }


@app.command(
    epilog=options.examples(
        "rtcli serve",
        "rtcli serve --store sqlite:rt.db --port 9000",
        "rtcli serve --host 0.0.0.0 --secret-file secret --origin https://chat.example.org",
        "rtcli serve --store redis://127.0.0.1:6379 --workers 4",
    )
)
@takes_bundles()
def serve(
    *,
    listen: ListenOptions,
    access: AccessOptions,
    limits: LimitOptions,
    tls: TlsOptions,
    process: ProcessOptions,
    verbose: options.Verbose = 0,
    json: options.Json = False,  # noqa: ARG001 - set on the console
) -> int:
    """Run the realtime server until SIGTERM or Ctrl-C.

    On loopback it needs nothing: the other commands on this machine find its development key by themselves.
    RTCLI_SERVER_HOST, RTCLI_SERVER_STORE and so on set the same, and what has no option.
    """
    settings = _settings(
        tls.settings() | listen.settings() | access.settings() | limits.settings() | process.settings()
    )
    has_key = bool(settings.secrets or settings.public_keys or settings.jwks_url)
    if not has_key:
        settings = settings.model_copy(update={"secrets": (_development_key(settings.host),)})
    level = logging.INFO if verbose else logging.WARNING
    return ServerRun(settings, process.ready_file, uses_development_key=not has_key, log_level=level).run()


def _development_key(host: str) -> str:
    if not _is_loopback(host):
        raise CliError(
            f"{host} is not this machine alone, and there is no key to verify tokens with",
            hint="give --secret-file FILE (make one: rtcli token keygen --out FILE), or listen on 127.0.0.1",
        )
    secret = development_secret(console.env, create=True)
    assert secret is not None  # noqa: S101 - it was made, or CliError raised
    return secret


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_secret(path: Path) -> str:
    return read_secret(path, warn=console.warning)


def _read_key(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise CliError(f"{path}: {why}", hint="it must be a public key in PEM") from None


def _settings(given: dict[str, object]) -> Settings:
    """Put options over the environment. Raises CliError (2) that names every mistake."""
    try:
        return Settings.from_env(console.env, **given)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg'].lower()}" for mistake in error.errors()
        )
        hint = f"see rtcli serve --help; {ENV_PREFIX}* sets the same"
        raise CliError(mistakes, hint=hint) from None
