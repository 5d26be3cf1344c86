"""The script of the demo: a server, two people and a tail, a connection that is lost, and a load test."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rtcli.apps.demo.participants import ROOM, Deliveries, Person, TailParticipant, running
from rtcli.apps.demo.transcript import Transcript
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.errors import CliError, Exit
from rtcli.files import PRIVATE, write_new
from rtcli.interpreter import module_command
from rtcli.load.results.summary import read_result
from rtcli.load.results.wording import accounts_line
from rtcli.load.run.own_server import OwnServer, own_server
from rtcli.protocol.tokens import create_token

SCENARIO = "smoke"
_PAUSE_S = 0.35  # so that a person can read along
_ALL = ("ann", "bob", "tail")
_END_S = 10.0


@dataclass(frozen=True)
class Demo:
    """One run of the demo. The results of its load test are written to `out`."""

    transcript: Transcript
    env: Mapping[str, str]
    out: Path

    async def run(self) -> int:
        """Run all parts; returns the exit code of the load test."""
        self.transcript.scene("a server, and two people who talk in a room")
        async with own_server(self.env, {}) as server:
            self.transcript.does("server", f"rtcli serve: {server.url}")
            await self._talk(server)
            code = await self._load(server)
        self._verdict()
        return code

    # -- two people and a tail -----------------------------------------------------------------------------

    async def _talk(self, server: OwnServer) -> None:
        endpoint = parse_endpoint(server.url)
        deliveries = Deliveries()
        ann, bob = (self._person(name, endpoint, server, deliveries) for name in ("ann", "bob"))
        tail = TailParticipant(endpoint, _tokens(server, "tail"), self.transcript, deliveries)
        async with running(deliveries, ann.client.run(), bob.client.run(), tail.run()):
            for person in (ann, bob):
                person.client.join(ROOM)
            await deliveries.until(lambda: ann.present and bob.present and tail.ready, "everybody")
            self.transcript.does("ann", f"rtcli chat --room {ROOM}                  (WebSocket)")
            self.transcript.does("bob", f"rtcli chat --room {ROOM}                  (WebSocket)")
            self.transcript.does("tail", f"rtcli tail-events --room {ROOM}           (Server-Sent Events)")
            await self._converse(
                deliveries, (ann, "Hi Bob, is the deploy done?"), (bob, "Yes. All green since noon.")
            )
            await self._lose(deliveries, ann, bob)
            await asyncio.gather(ann.client.close(), bob.client.close())

    async def _converse(self, deliveries: Deliveries, *lines: tuple[Person, str]) -> None:
        for person, text in lines:
            await asyncio.sleep(_PAUSE_S)
            person.say(text)
            await deliveries.until_received(text, [who for who in _ALL if who != person.name])

    async def _lose(self, deliveries: Deliveries, ann: Person, bob: Person) -> None:
        self.transcript.scene("Bob's network fails; what Ann says meanwhile reaches him when he is back")
        bob.client.cut()
        await deliveries.until(lambda: not bob.present, "the loss")
        for text in ("Then I release it.", "Done!"):
            await asyncio.sleep(_PAUSE_S / 2)
            ann.say(text)
            await deliveries.until_received(text, ["tail"])
        await deliveries.until_received("Done!", ["bob"])
        await self._converse(deliveries, (bob, "I missed nothing."))

    def _person(self, name: str, endpoint: Endpoint, server: OwnServer, deliveries: Deliveries) -> Person:
        return Person(name, endpoint, _tokens(server, name), self.transcript, deliveries)

    # -- the load test -------------------------------------------------------------------------------------

    async def _load(self, server: OwnServer) -> int:
        self.transcript.scene(f"a load test: did every message reach everyone? (rtcli loadtest {SCENARIO})")
        with tempfile.TemporaryDirectory(prefix="rtcli-demo-") as directory:
            secret_file = Path(directory) / "secret"
            write_new(secret_file, server.secret.encode(), PRIVATE)
            arguments = [
                "--url",
                server.url,
                "--secret-file",
                str(secret_file),
                "--out",
                str(self.out),
                "--quiet",
            ]
            process = await asyncio.create_subprocess_exec(
                *module_command("rtcli", "loadtest", SCENARIO, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                env={**self.env},
            )  # fmt: skip
            try:
                return await process.wait()
            finally:
                await _end(process)

    def _verdict(self) -> None:
        try:
            found = read_result(self.out)
        except CliError:
            raise CliError("the load test left no results", exit_code=Exit.SERVER) from None
        self.transcript.scene("the verdict")
        accounts = "" if found.accounts is None else accounts_line(found.accounts)
        counts = [f"{found.violation_counts[kind]} {kind}" for kind in ("lost", "duplicate", "reordered")]
        self.transcript.plain(f"{found.verdict.value}: {accounts}; {', '.join(counts)}")
        self.transcript.plain("next: rtcli serve; in other terminals: rtcli chat, rtcli tail-events")
        page = self.out / "report.html"
        self.transcript.plain(f"report: {page if page.exists() else self.out}")


def _tokens(server: OwnServer, name: str) -> Callable[[], str]:
    return lambda: create_token(server.secret, sub=name, name=name, now=time.time())


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the load test if it still runs: it writes what it has, and is killed if that takes too long."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def default_directory() -> Path:
    """A new directory for the results of this run."""
    return Path(tempfile.mkdtemp(prefix="rtcli-demo-"))
