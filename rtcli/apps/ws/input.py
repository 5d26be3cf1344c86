"""Where messages come from: the arguments, or stdin, whose reader waits until each is sent."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from rtcli.apps.ws.outgoing import BadInputError, Encoding, Outgoing, read_message
from rtcli.errors import CliError
from rtcli.terminal.stdin import read_all, read_byte_lines
from rtcli.units import format_bytes

MAX_INPUT_BYTES = 67_108_864  # of a line, of a file, or of all of stdin as one message


def read_arguments(texts: Sequence[str], encoding: Encoding | None) -> tuple[Outgoing, ...]:
    """Read texts and `@FILE`s, with a message a line, or one a file for raw bytes. Raises CliError (2)."""
    return tuple(message for text in texts for message in _read_argument(text, encoding))


def _read_argument(text: str, encoding: Encoding | None) -> Iterator[Outgoing]:
    if text.startswith("@"):
        yield from _read_file(Path(text[1:]), encoding)
        return
    if encoding is Encoding.RAW:
        raise CliError(f"{text!r}: raw bytes are no argument", hint="--binary raw @FILE, or from stdin")
    yield _read(text.encode("utf-8", "surrogateescape"), encoding, f"{text!r}")


def _read_file(path: Path, encoding: Encoding | None) -> Iterator[Outgoing]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_INPUT_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or "is no file").lower()
        raise CliError(f"@{path}: {why}", hint="a text that begins with @ can come from stdin") from None
    if len(data) > MAX_INPUT_BYTES:
        raise CliError(f"@{path}: larger than {format_bytes(MAX_INPUT_BYTES)}", hint="send it in parts")
    if encoding is Encoding.RAW:
        yield _read(data, encoding, f"@{path}")
        return
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        if line:
            yield _read(line, encoding, f"@{path}: line {number}")


def _read(data: bytes, encoding: Encoding | None, place: str, *, slash: bool = False) -> Outgoing:
    try:
        return read_message(data, encoding, slash=slash)
    except BadInputError as error:
        raise error.at(place) from None


async def from_arguments(messages: Sequence[Outgoing]) -> AsyncIterator[Outgoing]:
    """The messages of the command line; stdin is not touched."""
    for message in messages:
        yield message


async def from_stdin(encoding: Encoding | None, *, slash: bool) -> AsyncIterator[Outgoing]:
    """A message a line; empty lines are left out. Raises CliError (2) that names the line."""
    number = 0
    async for line in read_byte_lines(max_bytes=MAX_INPUT_BYTES):
        number += 1
        if line is None:
            raise CliError(
                f"line {number} is longer than {format_bytes(MAX_INPUT_BYTES)}", hint="send it in parts"
            )
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if text:
            yield _read(text, encoding, f"line {number}", slash=slash)


async def from_whole_stdin(encoding: Encoding | None) -> AsyncIterator[Outgoing]:
    """All of stdin as one message; nothing if there is nothing. Raises CliError (2)."""
    data = await read_all(max_bytes=MAX_INPUT_BYTES)
    if data is None:
        raise CliError(
            f"stdin has more than {format_bytes(MAX_INPUT_BYTES)}", hint="send it in parts, without --whole"
        )
    if encoding is not Encoding.RAW:
        data = data.removeprefix(codecs.BOM_UTF8)
    if data:
        yield _read(data, encoding, "stdin")
