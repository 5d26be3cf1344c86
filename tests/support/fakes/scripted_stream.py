"""A raw HTTP server whose every answer is scripted, for streams with faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]] | bytes


def status(code: int, *, headers: str = "") -> bytes:
    return f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n".encode()


async def hold(writer: asyncio.StreamWriter) -> None:
    """Stay open, silently, until the client goes or the test ends."""
    await writer.wait_closed()


async def break_off(running: Mapping[asyncio.Task[None], asyncio.StreamWriter]) -> None:
    """Break off connections, and end the tasks that serve them.

    Whoever drains is told by the connection: cancelled just when a peer had reset it, it would leave the
    exception to the garbage collector.
    """
    tasks = list(running)
    for writer in running.values():
        writer.transport.abort()
    for _ in range(3):  # the loss, who waits for it, and whoever waits for that one
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks)


class FakeStream:
    """Gives the answers one after the other, the last one for ever; `requests` has what was asked.

    What is asked for a target in `by_target` gets that answer instead.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.by_target: dict[str, Answer] = {}
        self.running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.requests: list[dict[str, str]] = []
        self.targets: list[str] = []
        self.methods: list[str] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream"

    def header(self, name: str) -> list[str | None]:
        return [request.get(name.lower()) for request in self.requests]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running[task] = writer
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape").split("\r\n")
            self.methods.append(head[0].split()[0])
            self.targets.append(head[0].split()[1])
            pairs = (line.partition(":") for line in head[1:] if line)
            self.requests.append({name.lower(): value.strip() for name, _, value in pairs})
            self.bodies.append(await reader.readexactly(int(self.requests[-1].get("content-length", 0))))
            answer = self.by_target.get(self.targets[-1]) or self._next()
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            del self.running[task]
            writer.close()

    def _next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def fake_stream(*answers: Answer, port: int = 0) -> AsyncIterator[FakeStream]:
    stream = FakeStream(*answers)
    server = await asyncio.start_server(stream.handle, "127.0.0.1", port)
    stream.port = server.sockets[0].getsockname()[1]
    try:
        yield stream
    finally:
        server.close()
        await break_off(stream.running)
