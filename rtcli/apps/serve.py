"""What `rtcli serve` does: run the server in one process, or a parent and its workers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from rtcli.errors import CliError, Exit
from rtcli.files import OwnFile
from rtcli.terminal.console import console
from rtcli_server.auth.origins import InvalidOriginError
from rtcli_server.auth.verification_keys import KeyConfigError
from rtcli_server.broker import BrokerUnavailableError, InvalidStoreError
from rtcli_server.process.listeners import ListenError, base_url, reserved_port
from rtcli_server.process.logs import configure_logging
from rtcli_server.process.runner import (
    CertificateError,
    ServerFailedError,
    check_settings,
    serve_as_worker,
    serve_forever,
)
from rtcli_server.process.supervisor import WorkersError, supervise
from rtcli_server.redaction import redact
from rtcli_server.settings import Settings

DEFAULT_PORT = 8000
END_MARGIN_S = 2.0  # after the drain timeout, workers that still run are killed


@dataclass(frozen=True, slots=True)
class ServerRun:
    """One run of the server, and what it prints."""

    settings: Settings
    ready_file: Path | None
    uses_development_key: bool
    log_level: int

    def run(self) -> int:
        """Serve until a signal; returns the exit code. Raises CliError."""
        with _errors_explained(), _ready_file(self.ready_file) as ready_file:
            return (self._run_workers if self.settings.workers > 1 else self._run_one)(ready_file)

    def _run_one(self, ready_file: OwnFile | None) -> int:
        configure_logging(self.settings.log_format, level=self.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(
                serve_forever(self.settings, lambda handle: self._announce(handle.port, ready_file))
            )

    # -- several workers -----------------------------------------------------------------------------------

    def _run_workers(self, ready_file: OwnFile | None) -> int:
        settings = self.settings
        _check_can_share(settings)
        configure_logging(settings.log_format, level=self.log_level)
        check_settings(settings)
        with reserved_port(settings) as port:
            supervise(
                settings.workers,
                lambda number, on_ready: self._run_worker(number, port, on_ready),
                on_ready=lambda: self._announce(port, ready_file),
                stop_s=settings.drain_timeout_s + END_MARGIN_S,
            )
        return Exit.OK

    def _run_worker(self, number: int, port: int, on_ready: Callable[[], None]) -> int:
        """Run worker `number` in its process. It reports its own errors, which its parent cannot know."""
        settings = self.settings.model_copy(update={"port": port})
        configure_logging(settings.log_format, level=self.log_level, worker=number)
        try:
            with _errors_explained(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(serve_as_worker(number, settings, lambda _handle: on_ready()))
        except CliError as error:
            console.error(error)
            return error.exit_code

    # -- what it prints ------------------------------------------------------------------------------------

    def _announce(self, port: int, ready_file: OwnFile | None) -> None:
        settings, url = self.settings, base_url(self.settings, port)
        if ready_file is not None:
            with _ready_file_explained(self.ready_file):
                ready_file.write(f"{url}\n")
        option = "" if port == DEFAULT_PORT and settings.host == "127.0.0.1" else f" --url {url}"
        workers = f"; {settings.workers} workers" if settings.workers > 1 else ""
        console.info(f"listening on {url} (log: {redact(settings.store)}{workers}). Ctrl-C ends it.")
        if self.uses_development_key:
            console.info(
                "tokens: the development key of this machine; other rtcli commands find it themselves"
            )
        console.info(f"try next: rtcli chat --room general{option}")
        console.info(f"          rtcli tail-events --room general{option}")


def _check_can_share(settings: Settings) -> None:
    if not settings.store.startswith("redis"):
        store = redact(settings.store)
        raise CliError(
            f"{settings.workers} workers need a log that processes can share, which {store} is not",
            hint="give --store redis://HOST:PORT, or run one worker",
        )
    if sys.platform != "linux":
        raise CliError(
            "several workers on one port need Linux, which spreads connections over them",
            hint="start several servers on ports of their own, on one --store redis://HOST:PORT",
        )


@contextlib.contextmanager
def _ready_file(path: Path | None) -> Iterator[OwnFile | None]:
    """The ready file of this server, which ends with the block. Raises CliError (2)."""
    if path is None:
        yield None
        return
    with _ready_file_explained(path):
        file = OwnFile(path)
    try:
        yield file
    finally:
        file.remove()


@contextlib.contextmanager
def _ready_file_explained(path: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", hint="see --ready-file") from None


@contextlib.contextmanager
def _errors_explained() -> Iterator[None]:
    """Turn the errors of the server into CliErrors that a person can act on."""
    try:
        yield
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
    except ServerFailedError as error:
        hint = "the log has the cause above; start it again, or let a service manager do so"
        raise CliError(redact(str(error)), hint=hint, exit_code=Exit.SERVER) from None
    except WorkersError as error:
        hint = "what it said stands above; with --workers 1 it stands alone"
        raise CliError(str(error), hint=hint, exit_code=Exit.SERVER) from None
