"""The installed command as a process in pipes, and what it wrote."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.processes.rtcli import start
from tests.support.unexpected_logs import in_text

DEADLINE_S = 30.0


class Command:
    """A running command whose output is read as it comes."""

    def __init__(
        self, *arguments: str, home: Path, env: dict[str, str] | None = None, ignore_sigint: bool = False
    ) -> None:
        self.process = start(*arguments, home=home, env=env, ignore_sigint=ignore_sigint)
        self.out = self.err = b""

    def _pump(self, timeout: float) -> None:
        streams = {s: name for s, name in ((self.process.stdout, "out"), (self.process.stderr, "err")) if s}
        readable, _, _ = select.select([s for s in streams if not s.closed], [], [], timeout)
        for stream in readable:
            setattr(self, streams[stream], getattr(self, streams[stream]) + os.read(stream.fileno(), 65_536))

    def wait_for(self, text: str, *, stream: str = "out", times: int = 1) -> None:
        """Read until `text` was written to that stream."""
        deadline = time.monotonic() + DEADLINE_S
        while getattr(self, stream).count(text.encode()) < times:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {stream}; out: {self.out!r} err: {self.err!r}"
            self._pump(min(left, 0.2))

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, *, eof: bool = True) -> int:
        """Close stdin, wait for the end, and return the exit code."""
        if not eof:
            self.process.stdin = None
        out, err = self.process.communicate(timeout=DEADLINE_S)
        self.out += out
        self.err += err
        assert not in_text(self.err.decode("utf-8", "replace")), self.err
        return self.process.returncode

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        _, err = self.process.communicate()
        assert not in_text((self.err + err).decode("utf-8", "replace")), self.err + err


Run = Callable[..., Command]
