"""What `rtcli publish` does: texts from arguments or stdin become parts, and parts are joined to batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import msgspec

from rtcli.apps import DEFAULT_ROOM
from rtcli.client.publishing import MAX_BODY_BYTES, MAX_PARTS, Part, Result
from rtcli.client.validation import check_room, problem_with
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.messages.strict_json import NotAcceptedError, parse
from rtcli.protocol.publication import is_valid_event_name
from rtcli.protocol.tokens import is_valid_user_id
from rtcli.terminal.console import console
from rtcli.terminal.stdin import read_lines

MAX_INPUT_BYTES = 262_144  # of one line, or of all of stdin with --whole


@dataclass(frozen=True)
class Target:
    """Where to publish: `rooms` for messages, `event` and perhaps `user` for events."""

    rooms: tuple[str, ...]
    event: str | None
    user: str | None

    def bodies(self, text: str) -> list[dict[str, object]]:
        """The publications of one text. Raises ValueError that says what is wrong with it."""
        if self.event is None:
            problems = [problem for room in self.rooms if (problem := problem_with(room, text))]
            if problems:
                raise ValueError(problems[0])
            return [{"room": room, "content": text} for room in self.rooms]
        body: dict[str, object] = {"event": self.event, "data": _json_object(text)}
        return [body if self.user is None else body | {"user": self.user}]


def make_target(rooms: list[str] | None, event: str | None, user: str | None) -> Target:
    """Read the options. Raises CliError (2) for contradictions and invalid names."""
    if event is None:
        if user is not None:
            raise CliError("--user needs --event", hint="messages go to rooms: --room NAME")
        return Target(tuple(dict.fromkeys(map(check_room, rooms or [DEFAULT_ROOM]))), None, None)
    if rooms:
        raise CliError("--event and --room exclude each other", hint="events go to --user, or to everyone")
    if not is_valid_event_name(event):
        raise CliError(
            f"{event!r} cannot be the name of an event",
            hint="1 to 64 of A-Z a-z 0-9 _ . : / -, and none that the protocol uses itself",
        )
    if user is not None and not is_valid_user_id(user):
        raise CliError("--user: a user's id has 1 to 128 printable characters", hint="--user 7")
    return Target((), event, user)


def _json_object(text: str) -> object:
    try:
        value = parse(text)
        parse(f"[[[{text}]]]")  # in a batch it is nested as deep as this
    except NotAcceptedError as error:
        raise ValueError(f"the data of an event must be JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("the data of an event must be a JSON object")  # noqa: TRY004 - the text is wrong, not its type
    return msgspec.Raw(text.encode())


# -- where texts come from ---------------------------------------------------------------------------------

Texts = AsyncIterator[tuple[int, str | None]]  # number and text of a line; None: the line is too long


async def argument_texts(texts: list[str]) -> Texts:
    """Each argument is a text."""
    for number, text in enumerate(texts, 1):
        yield number, text


async def line_texts() -> Texts:
    """Each line of stdin that is not empty is a text."""
    number = 0
    async for line in read_lines(max_bytes=MAX_INPUT_BYTES):
        number += 1
        if line != "":
            yield number, line


async def whole_text() -> Texts:
    """All of stdin is one text, without the line ends behind it."""
    lines: list[str] = []
    size = 0
    async for line in read_lines(max_bytes=MAX_INPUT_BYTES):
        size += len(line or "") + 1
        if line is None or size > MAX_INPUT_BYTES:
            yield 1, None
            return
        lines.append(line)
    yield 1, "\n".join(lines).rstrip("\n")


# -- the run -----------------------------------------------------------------------------------------------


@dataclass
class PublishRun:
    """The state of one run: makes the parts, and counts and reports their results."""

    target: Target
    show_acks: bool
    id_prefix: str  # different for each run: ids are idempotency keys of the user
    now: Callable[[], float]  # unix seconds
    failure: CliError | None = None
    count: int = 0
    published: int = 0

    def parts(self, number: int, text: str | None) -> list[Part]:
        """The publications of one line. If it cannot be published, reports that and returns none."""
        if text is None:
            self.reject(number, f"it is longer than {MAX_INPUT_BYTES} bytes", Exit.USAGE)
            return []
        try:
            bodies = self.target.bodies(text)
        except ValueError as error:
            self.reject(number, str(error), Exit.USAGE)
            return []
        parts = []
        for body in bodies:
            self.count += 1
            parts.append(Part(number, body | {"id": f"{self.id_prefix}-{self.count}"}))
        return parts

    def reject(self, number: int, why: str, exit_code: Exit) -> None:
        """Record that a line is not published. The last rejection becomes the error of the command."""
        self.warn()
        self.failure = CliError(f"line {number} was not published: {why}", exit_code=exit_code)

    def warn(self) -> None:
        """Report the last rejection as a warning, because another error will end the command."""
        if self.failure is not None:
            console.warning(self.failure.message)

    def end(self) -> int:
        """The exit code. Raises CliError when something was not published."""
        if self.failure is None:
            return Exit.OK
        self.failure.hint = f"{self.published} publications are in the log"
        raise self.failure

    def on_result(self, part: Part, result: Result) -> None:
        """Process the server's answer to a part."""
        published = result.published
        if published is None:
            exit_code = Exit.AUTH if result.status in {401, 403} else Exit.SERVER
            self.reject(part.number, f"{result.detail} ({result.code})", exit_code)
            return
        self.published += 1
        if self.show_acks and console.json:
            console.write_json(
                {
                    "type": "ack",
                    "ts": format_timestamp(self.now()),
                    "id": str(part.body["id"]),
                    "channel": published.channel,
                    "position": published.position,
                    "epoch": published.epoch,
                    "offset": published.offset,
                    "duplicate": published.duplicate,
                }
            )
        elif self.show_acks:
            console.write_line(f"{published.channel} {published.position}")


async def batches(
    texts: Texts, parts_of: Callable[[int, str | None], list[Part]]
) -> AsyncGenerator[list[Part]]:
    """Join the texts that arrived while the last batch was sent: single lines go at once, files in bulk."""
    pending: deque[Part] = deque()
    changed, drained = asyncio.Event(), asyncio.Event()

    async def feed() -> None:
        async for number, text in texts:
            pending.extend(parts_of(number, text))
            changed.set()
            while len(pending) >= 2 * MAX_PARTS:
                drained.clear()
                await drained.wait()

    def fed(done: asyncio.Future[None]) -> None:
        if not done.cancelled():
            done.exception()  # raised below, unless whoever takes the batches has left
        changed.set()

    feeding = asyncio.ensure_future(feed())
    feeding.add_done_callback(fed)
    try:
        while True:
            while not pending and not feeding.done():
                changed.clear()
                await changed.wait()
            if not pending:
                break
            yield _take(pending)
            drained.set()
        feeding.result()
    finally:
        feeding.cancel()


def _take(pending: deque[Part]) -> list[Part]:
    """As many parts as one request may have, at least one."""
    batch = [pending.popleft()]
    size = batch[0].size
    while pending and len(batch) < MAX_PARTS and size + pending[0].size <= MAX_BODY_BYTES:
        batch.append(pending.popleft())
        size += batch[-1].size
    return batch
