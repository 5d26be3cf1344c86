"""`--record FILE`: what went over the wire, as the records of `--json`, in a file of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rtcli.errors import CliError
from rtcli.files import PRIVATE
from rtcli.terminal.escaping import json_text


class Recording:
    """A new file, which only its user can read. It has whole lines only, also when the disk is full."""

    def __init__(self, path: Path) -> None:
        """Raises CliError (2) when there is such a file, or it cannot be made."""
        self._path = path
        self._size = 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
            os.fchmod(self._descriptor, PRIVATE)
        except FileExistsError:
            raise CliError(
                f"--record {path}: there is such a file already", hint="choose another name"
            ) from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CliError(f"--record {path}: {why}", hint="choose another place") from None

    def write(self, record: Mapping[str, object]) -> None:
        """Write one line. Raises CliError."""
        line = f"{json_text(record)}\n".encode()
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            os.truncate(self._descriptor, self._size)
            why = (error.strerror or str(error)).lower()
            raise CliError(
                f"--record {self._path}: {why}", hint="it ends with the last whole line"
            ) from error
        self._size += len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
