"""`rtcli serve`: the realtime server."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop
from pydantic import ValidationError

from rtcli import options
from rtcli.client.secret_files import development_secret, read_secret
from rtcli.console import console
from rtcli.errors import CliError, Exit
from server.auth import KeyConfigError
from server.broker import BrokerUnavailableError, InvalidStoreError
from server.logs import configure_logging, redact
from server.origins import InvalidOriginError
from server.runner import CertificateError, ListenError, ServerHandle, serve_forever
from server.settings import ENV_PREFIX, Settings

app = options.new_app()

DEFAULT_PORT = 8000


@app.command(
    epilog=options.examples(
        "rtcli serve",
        "rtcli serve --store sqlite:rt.db --port 9000",
        "rtcli serve --host 0.0.0.0 --secret-file secret --origin https://chat.example.org",
    )
)
def serve(
    *,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDR", help="Address to listen on (127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", min=0, max=65_535, metavar="N", help="Port (8000); 0 takes a free one."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="The log: memory: or sqlite:PATH or redis://HOST:PORT."),
    ] = None,
    secret_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="Verify tokens with the secret in FILE; several for rotation. Without any key, on loopback: "
            "the development key.",
        ),
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option("--public-key", metavar="FILE", help="Verify tokens with this public key (PEM)."),
    ] = None,
    jwks_url: Annotated[
        str | None, typer.Option("--jwks-url", metavar="URL", help="Verify tokens with the keys at URL.")
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="ORIGIN", help="Let pages of this origin connect; several times."),
    ] = None,
    history_size: Annotated[
        int | None, typer.Option("--history-size", min=1, metavar="N", help="Publications kept per channel.")
    ] = None,
    history_ttl: Annotated[
        float | None,
        typer.Option("--history-ttl", parser=options.duration, metavar="DUR", help="How long they are kept."),
    ] = None,
    ping_interval: Annotated[
        float | None,
        typer.Option(
            "--ping-interval", parser=options.duration, metavar="DUR", help="Between the pings of /ws/v2."
        ),
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option("--rate-limit", metavar="N/s|off", help="Messages of one connection per second."),
    ] = None,
    user_connections: Annotated[
        str | None, typer.Option("--user-connections", metavar="N|off", help="Connections of one user.")
    ] = None,
    address_connections: Annotated[
        str | None, typer.Option("--address-connections", metavar="N|off", help="Connections of one address.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file", metavar="FILE", help="Write the URL to FILE once connections are welcome."
        ),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option("--drain-timeout", parser=options.duration, metavar="DUR", help="Time to end in order."),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option("--log-format", help="How log lines look.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, metavar="N", help="Processes; one is all there is so far.")
    ] = 1,
    verbose: options.Verbose = 0,
    json: options.Json = False,  # noqa: ARG001 - set on the console
) -> int:
    """Run the realtime server until SIGTERM or Ctrl-C.

    On loopback it needs nothing: the other commands on this machine find its development key by themselves.
    RTCLI_SERVER_HOST, RTCLI_SERVER_STORE and so on set the same, and what has no option.
    """
    if workers > 1:
        raise CliError(
            "--workers: one process is all that a server has so far",
            hint="to use more cores, start several servers on one log: --store redis://HOST:PORT",
        )
    if (tls_cert is None) != (tls_key is None):
        raise CliError("--tls-cert and --tls-key go together", hint="give both, or none")
    settings = _settings(
        host=host,
        port=port,
        store=store,
        secrets=tuple(read_secret(path, warn=console.warning) for path in secret_file or ()) or None,
        public_keys=tuple(map(_read_key, public_key or ())) or None,
        jwks_url=jwks_url,
        origins=tuple(origin or ()) or None,
        history_size=history_size,
        history_ttl_s=history_ttl,
        ping_interval_s=ping_interval,
        rate_limit_per_s=None if rate_limit is None else rate_limit.removesuffix("/s"),
        user_connections=user_connections,
        address_connections=address_connections,
        tls_cert=tls_cert,
        tls_key=tls_key,
        drain_timeout_s=drain_timeout,
        log_format=log_format,
    )
    has_key = bool(settings.secrets or settings.public_keys or settings.jwks_url)
    if not has_key:
        settings = settings.model_copy(update={"secrets": (_development_key(settings.host),)})
    configure_logging(settings.log_format, level=logging.INFO if verbose else logging.WARNING)
    return _run(settings, ready_file, uses_development_key=not has_key)


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


def _read_key(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise CliError(f"{path}: {why}", hint="it must be a public key in PEM") from None


def _settings(**given: object) -> Settings:
    """Put options over the environment; every mistake is named at once."""
    try:
        return Settings.from_env(console.env, **given)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg'].lower()}" for mistake in error.errors()
        )
        hint = f"see rtcli serve --help; {ENV_PREFIX}* sets the same"
        raise CliError(mistakes, hint=hint) from None


def _run(settings: Settings, ready_file: Path | None, *, uses_development_key: bool) -> int:
    def on_ready(handle: ServerHandle) -> None:
        if ready_file is not None:
            _write(ready_file, f"{handle.url}\n")
        _welcome(handle, uses_development_key=uses_development_key)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve_forever(settings, on_ready))
    except ListenError as error:
        hint = (
            "choose another port: --port N, or --port 0 for a free one"
            if error.in_use
            else "see --host, --port"
        )
        raise CliError(str(error), hint=hint, exit_code=Exit.CANNOT_CONNECT) from None
    except CertificateError as error:
        raise CliError(str(error), hint="see --tls-cert, --tls-key") from None
    except InvalidStoreError as error:
        raise CliError(redact(str(error)), hint="see --store") from None
    except BrokerUnavailableError as error:
        raise CliError(str(error), hint="is the store up?", exit_code=Exit.CANNOT_CONNECT) from None
    except KeyConfigError as error:
        raise CliError(str(error), hint="make a good one: rtcli token keygen --out FILE") from None
    except InvalidOriginError as error:
        raise CliError(str(error), hint="see --origin") from None
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", hint="see --ready-file") from None


def _welcome(handle: ServerHandle, *, uses_development_key: bool) -> None:
    url = handle.url
    option = "" if handle.port == DEFAULT_PORT and handle.host == "127.0.0.1" else f" --url {url}"
    console.info(f"listening on {url} (log: {redact(handle.settings.store)}). Ctrl-C ends it.")
    if uses_development_key:
        console.info("tokens: the development key of this machine; other rtcli commands find it themselves")
    console.info(f"try next: rtcli chat --room general{option}")
    console.info(f"          rtcli tail-events --room general{option}")
