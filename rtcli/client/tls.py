"""TLS as the options `--cacert --cert --key -k` want it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from rtcli.errors import CliError


@dataclass(frozen=True)
class TlsOptions:
    """What the person asked for; all empty means: the system's certificate store."""

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Make the context of every connection. Raises CliError (2) for files that cannot be used."""
        if self.key is not None and self.cert is None:
            raise CliError("--key needs --cert", hint="both, PEM; or one file with both as --cert")
        context = self._trusting()
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                raise _unusable("--cert", self.cert, error) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _trusting(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=None if self.cacert is None else str(self.cacert))
        except (OSError, ssl.SSLError) as error:
            raise _unusable("--cacert", self.cacert, error) from None


def _unusable(option: str, path: Path | None, error: Exception) -> CliError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CliError(f"{option} {path}: {why}", hint="a PEM file is wanted")
