"""`rtcli ws`: talk with any WebSocket server, message by message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from rtcli.apps.ws.expectations import Wanted, read_expectations
from rtcli.apps.ws.input import read_arguments
from rtcli.apps.ws.outgoing import BadInputError, Close, Encoding, read_close
from rtcli.apps.ws.output import OutputOptions
from rtcli.apps.ws.plan import DEFAULT_PATH, Input, WsPlan
from rtcli.apps.ws.session import SessionOptions
from rtcli.cli import options, signals
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions, make_connection
from rtcli.cli.limits import EndOptions
from rtcli.client.connection import Connection
from rtcli.errors import CliError
from rtcli.protocol.paths import WEBSOCKET_PATH
from rtcli.terminal.console import console

_OF_HANDSHAKE = frozenset(
    {"connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key"}
    | {"sec-websocket-protocol", "sec-websocket-version", "content-length", "transfer-encoding"}
)

app = options.new_app()


@dataclass(frozen=True)
class SendOptions:
    """What is sent, and how it is written."""

    on_open: Annotated[
        list[str] | None,
        typer.Option(
            "--on-open",
            metavar="TEXT|@FILE",
            help="Send this first, on each connection: a text, or FILE's lines (repeatable).",
        ),
    ] = None
    binary: Annotated[
        Encoding | None,
        typer.Option(
            "--binary",
            "-b",
            help="Send bytes: lines of hex or base64, or raw, all of stdin or @FILE as one message.",
        ),
    ] = None
    whole: Annotated[bool, typer.Option("--whole", help="All of stdin is one message, not each line.")] = (
        False
    )
    slash: Annotated[
        bool | None,
        typer.Option("--slash/--no-slash", help="Read /ping, /close 4000 bye, … (on a terminal: yes)."),
    ] = None
    listen: Annotated[bool, typer.Option("--listen", help="Only listen; stdin is not touched.")] = False
    raw: Annotated[
        bool, typer.Option("--raw", help="In a pipe: texts as they are, control characters, too.")
    ] = False


@dataclass(frozen=True)
class WantOptions:
    """What has to come, and how the conversation ends."""

    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", "-e", metavar="TEXT", help="End with 0 when a message has TEXT in it."),
    ] = None
    expect_json: Annotated[
        list[str] | None,
        typer.Option("--expect-json", metavar="PATH=VALUE", help="End with 0 when a message has that value."),
    ] = None
    linger: Annotated[
        float | None,
        typer.Option(
            "--linger",
            "-w",
            parser=options.duration_or_forever,
            metavar="DUR",
            help="After the last input: stay until nothing came for that long, or `forever` (1s).",
        ),
    ] = None
    close: Annotated[
        str, typer.Option("--close", metavar="'CODE REASON'", help="Close with this code and reason.")
    ] = "1000"
    reconnect: Annotated[
        bool, typer.Option("--reconnect", help="Connect again after a loss (1001, 1006, 1012, 1013).")
    ] = False
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Write all frames to a new file, as --json does."),
    ] = None


@dataclass(frozen=True)
class HandshakeOptions:
    """What the handshake says, and what holds for the connection."""

    subprotocol: Annotated[
        list[str] | None,
        typer.Option("--subprotocol", "-s", metavar="NAME", help="Offer a subprotocol (repeatable)."),
    ] = None
    origin: Annotated[
        str | None, typer.Option("--origin", "-o", metavar="ORIGIN", help="Send this Origin.")
    ] = None
    cookie: Annotated[
        list[str] | None, typer.Option("--cookie", metavar="K=V", help="Send a cookie (repeatable).")
    ] = None
    ping_interval: Annotated[
        float | None,
        typer.Option(
            "--ping-interval",
            parser=options.duration_or_forever,
            metavar="DUR",
            help="Send pings, and leave without an answer; `forever`: none.",
        ),
    ] = "20s"  # type: ignore[assignment] # Typer parses the default, too
    max_size: Annotated[
        int,
        typer.Option(
            "--max-size", parser=options.size, metavar="SIZE", help="The longest message that is taken."
        ),
    ] = "16MiB"  # type: ignore[assignment] # Typer parses the default, too


@app.command(
    epilog=options.examples(
        "rtcli ws wss://example.com/feed",
        "rtcli ws ws://127.0.0.1:9000 hello --expect hello --timeout 5s",
        "rtcli ws wss://example.com/feed --on-open @login.txt --reconnect --json",
        "rtcli ws ws://127.0.0.1:9000 -b hex '00 ff 10' --count 1",
        "printf 'one\\ntwo\\n' | rtcli ws ws://127.0.0.1:9000 --count 2",
        'rtcli ws --as ann \'{"type":"ping"}\' -n 2      raw frames of our own server',
    )
)
@takes_bundles()
def ws(
    ws_url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="Any WebSocket. Without it (--url): our server's."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Messages, or @FILE for its lines. Without it: what is typed, or stdin's lines.",
        ),
    ] = None,
    *,
    send: SendOptions,
    want: WantOptions,
    handshake: HandshakeOptions,
    end: EndOptions,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Talk with any WebSocket server: on a terminal interactively, or through a pipe, a message a line.

    The exit code says how the connection was closed: 1000 is 0; 1008 is 4; 1001, 1006, 1012 and 1013 are 3;
    others are 6.
    """
    _check(text, send, want, end)
    if not handshake.ping_interval:
        raise CliError("--ping-interval 0s: pings without a pause", hint="--ping-interval forever sends none")
    texts = text or []
    path = WEBSOCKET_PATH if ws_url is None else DEFAULT_PATH
    connection = _connection(ws_url, server)
    headers = _headers(connection, handshake)
    interactive = _is_interactive(texts, send, json=console_options.json)
    to_type = console.stdin_is_tty and not texts and not send.listen
    plan = WsPlan(
        connection=connection,
        path=path,
        headers=headers,
        subprotocols=_subprotocols(handshake.subprotocol),
        max_bytes=handshake.max_size,
        input=Input(
            arguments=read_arguments(texts, send.binary),
            read_stdin=not (texts or send.listen),
            whole=send.whole or (send.binary is Encoding.RAW and not to_type),
            encoding=send.binary,
            slash=to_type if send.slash is None else send.slash,
        ),
        output=OutputOptions(
            url=connection.endpoint.ws_url(path).partition("?")[0],
            json=console_options.json,
            raw=send.raw,
            encoding=send.binary,
        ),
        session=SessionOptions(
            on_open=read_arguments(send.on_open or [], send.binary),
            linger_s=float("inf") if send.listen and want.linger is None else want.linger,
            default_linger_s=0.0 if to_type else 1.0,
            close=_close(want.close),
            ping_interval_s=None if handshake.ping_interval == float("inf") else handshake.ping_interval,
            reconnect=want.reconnect,
        ),
        wanted=Wanted(read_expectations(want.expect or (), want.expect_json or ()), end.count),
        record=want.record,
        interactive=interactive,
        wait_s=server.wait,
    )
    with connection.explaining_refusal():
        return signals.run(end.limit().apply(plan.run()))


def _check(text: list[str] | None, send: SendOptions, want: WantOptions, end: EndOptions) -> None:
    if text and send.whole:
        raise CliError("--whole is about stdin, and there are texts as arguments", hint="leave out one")
    if send.listen and (send.whole or send.slash):
        raise CliError("--listen does not read stdin", hint="leave out --whole and --slash, or --listen")
    if end.duration is not None and (want.expect or want.expect_json):
        raise CliError("--duration ends with 0, whatever came", hint="with --expect: --timeout")
    if end.count == 0:
        raise CliError("--count 0: nothing would be waited for", hint="--count 1, or leave it out")


def _connection(url: str | None, server: ConnectionOptions) -> Connection:
    if url is None:
        return make_connection(server)
    return make_connection(replace(server, url=url), find_token=server.as_name is not None)


def _headers(connection: Connection, handshake: HandshakeOptions) -> tuple[tuple[str, str], ...]:
    headers = list(connection.headers)
    if handshake.origin is not None:
        headers.append(("Origin", _value("--origin", handshake.origin)))
    if handshake.cookie:
        headers.append(("Cookie", "; ".join(_value("--cookie", pair) for pair in handshake.cookie)))
    for name, _ in headers:
        if name.lower() in _OF_HANDSHAKE:
            raise CliError(
                f"-H {name}: the handshake needs its own",
                hint="a subprotocol is offered with --subprotocol",
            )
    return tuple(headers)


def _value(option: str, text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise CliError(
            f"{option}: printable ASCII is wanted", hint="--origin https://example.com --cookie id=7"
        )
    return text


def _subprotocols(names: list[str] | None) -> tuple[str, ...]:
    for name in names or ():
        if not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name) or not name:
            raise CliError(
                f"--subprotocol {name!r} is no name", hint="several are offered with an option for each"
            )
    return tuple(names or ())


def _close(text: str) -> Close:
    try:
        return read_close(text)
    except BadInputError as error:
        raise error.at("--close") from None


def _is_interactive(texts: list[str], send: SendOptions, *, json: bool) -> bool:
    """Whether a person talks here: what is typed is seen, and so is what comes."""
    both = console.stdin_is_tty and console.stdout_is_tty
    return both and not (texts or send.listen or send.whole or json or console.is_dumb)
