"""One HTTP/1.1 connection of the bundled server: requests one at a time, with deadlines and limits.

uvicorn's own protocol reads and queues without a bound what a client sends ahead, waits for ever for a
request that does not end, counts trailers as header fields, and loses the body of a request whose `Upgrade`
it does not know. So the bundled server has this one; the listeners and their life are uvicorn's.

A connection is in one of these states, and reads only in those that need input:

- reading a request: a deadline runs; a client that is late is dropped
- answering: what comes meanwhile stays bytes, and when there is some, reading stops
- the client does not take its answers: nothing is read and nothing is begun
- idle: closed after a while
- handed over to a WebSocket protocol: only when no answer is due
- closing: input is dropped; a deadline runs for what the client has to read
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from rtcli_server.problems import ProblemError
from rtcli_server.transports.asgi_extensions import HTTP_PROTOCOL
from rtcli_server.transports.http.access_log import AccessLog
from rtcli_server.transports.http.exchange import Exchange
from rtcli_server.transports.http.flow import Flow
from rtcli_server.transports.http.handshake import check_handshake, is_websocket_upgrade
from rtcli_server.transports.http.head import Head
from rtcli_server.transports.http.options import HttpOptions
from rtcli_server.transports.http.patience import Patience
from rtcli_server.transports.http.reader import RequestReader
from rtcli_server.transports.http.response import problem_bytes
from rtcli_server.transports.http.scope import Address, Origin, make_scope


class HttpProtocol(asyncio.BufferedProtocol):
    """One HTTP connection."""

    __slots__ = (
        "_access_log", "_closing", "_exchange", "_is_new", "_options", "_origin", "_patience", "_peer",
        "_queued", "_reader", "_upgrade", "_upgrading", "app_state", "client", "config", "flow", "head",
        "server_state", "transport",
    )  # fmt: skip
    transport: asyncio.Transport
    flow: Flow
    head: Head  # of the last request
    client: Address | None  # who sent it, by trusted proxies

    def __init__(
        self,
        options: HttpOptions,
        upgrade: Callable[[HttpProtocol], None],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`upgrade` is called with a valid WebSocket handshake: it takes the transport over, or refuses."""
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self._options = options
        self._upgrade = upgrade
        self._reader = RequestReader(options.max_bytes, options.max_fields)
        self._exchange: Exchange | None = None  # that is not complete
        self._is_new = True  # no request has come
        self._closing = False  # nothing that comes is a request any more
        self._upgrading = False
        self._queued = False  # waits for its turn
        self._access_log: AccessLog | None = None
        self._origin: Origin | None = None  # of a connection with requests

    # -- the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # a stream
        """Start the first deadline."""
        self.transport = transport
        self.flow = Flow(self._options, transport)
        self._patience = Patience(self._options, transport)
        self.server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn calls `shutdown` of each
        self._peer = get_remote_addr(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        """Tell everyone who waits for this client."""
        self._closing = True
        self.let_go()
        self.flow.lost()
        if self._exchange is not None:
            self._exchange.disconnected()
            self._exchange = None
        if self._access_log is not None:
            self._access_log.ended()

    def let_go(self) -> None:
        """Forget the transport: it is closed, or another protocol takes it over."""
        self.flow.let_go()
        self._patience.unlimited()
        self.server_state.connections.discard(self)
        self._reader.forget()

    def shutdown(self) -> None:
        """End after the answer that is due (called by uvicorn, when the server ends)."""
        if self._exchange is None:
            self._close()
        else:
            self._exchange.keep_alive = False

    # -- input ---------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the interface of asyncio
        """Give the buffer of the server: it is read from at once, in `buffer_updated`."""
        return self._options.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come."""
        if self._closing:
            return
        self._reader.feed(self._options.read_buffer[:nbytes])
        if self._may_step:
            self._go_on()
        else:
            self._set_reading()

    @property
    def _answers(self) -> bool:
        """Whether an answer is due, or was not taken by the client."""
        return self._exchange is not None or self.flow.is_full

    @property
    def _may_step(self) -> bool:
        return not self._closing and not self._upgrading and (self._reader.in_body or not self._answers)

    def _go_on(self) -> None:
        """Read on, in this turn of the loop or a later one."""
        if not self._queued:
            self._queued = True
            if not self._options.turns.run(self):
                self._set_reading()

    def step(self) -> None:
        """Read a body, or begin one request."""
        self._queued = False
        if not self._may_step:
            return
        try:
            self._read_body()
            if not self._reader.in_body and not self._answers:
                self._read_head()
        except ProblemError as refusal:
            self.refuse(refusal)
        if not self._closing and not self._upgrading:
            self._set_timer()
            self._set_reading()

    def cut_off(self) -> None:
        """Drop the client (called when `step` has raised)."""
        self.flow.cut_off()

    def _read_head(self) -> None:
        if (head := self._reader.next_head()) is None:
            return
        self._is_new = False
        self.head = head
        self.client = self._options.proxies.client_of(self._peer, head.headers)
        if head.asks_for_upgrade and head.method == "GET" and is_websocket_upgrade(head.headers):
            self._begin_upgrade(head)
        else:
            self._begin(head)
            self._read_body()

    def _read_body(self) -> None:
        exchange = self._exchange
        if self._reader.in_body and exchange is None:
            if not self._reader.drop_body():
                self._close()  # it has its answer: a refusal would be taken for that to the next request
        elif self._reader.in_body and exchange is not None and exchange.takes_body:
            exchange.feed(self._reader.take_body(), last=not self._reader.in_body)

    def _set_timer(self) -> None:
        if self._reader.in_body or (not self._answers and (self._reader.waiting_bytes or self._is_new)):
            self._patience.reading()
        elif self._answers:
            self._patience.unlimited()
        else:
            self._patience.idle()

    def _set_reading(self) -> None:
        """Read what is needed; and while nothing is, until something comes, so that an end is noticed."""
        if self._reader.in_body:
            reads = self._exchange is None or self._exchange.takes_body
        else:
            reads = not self._answers or not self._reader.waiting_bytes
        self.flow.set_reading(on=reads and not self._queued)

    # -- requests ------------------------------------------------------------------------------------------

    def _begin(self, head: Head) -> None:
        """Start the application for one request."""
        if self._origin is None:
            self._origin = Origin.of(self.transport, self.config.root_path)
        scope = make_scope(head, self.client, self._origin, self.app_state)
        scope["extensions"] = {HTTP_PROTOCOL: self}
        self._exchange = exchange = Exchange(self, head, scope)
        task = asyncio.get_running_loop().create_task(exchange.run(self.config.loaded_app))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def refuse(self, refusal: ProblemError) -> None:
        """Answer with an error and close. An answer that was begun is broken off instead."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.disconnected()
        if exchange is None or not exchange.started:
            self.flow.write(problem_bytes(refusal))
        self._close()

    def _begin_upgrade(self, head: Head) -> None:
        refusal = check_handshake(head.headers)
        # RFC 6455, section 4.1: the client sends no data before it has the server's handshake.
        if refusal is None and (head.has_body or self._reader.waiting_bytes):
            refusal = ProblemError(400, detail="Frames may not be sent before the handshake is answered")
        if refusal is not None:
            self.refuse(refusal)
            return
        self._upgrading = True
        self._patience.unlimited()
        self.flow.set_reading(on=True)
        self._upgrade(self)

    def last_request(self) -> None:
        """Take no request after the one that is being answered, and tell the client with its response."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        self._closing = True
        self._patience.unlimited()
        self._reader.forget()
        self.flow.set_reading(on=True)

    def _close(self) -> None:
        self._closing = True
        self._reader.forget()
        self._patience.close()

    # -- answers (the interface of Exchange) ---------------------------------------------------------------

    def default_fields(self) -> list[tuple[bytes, bytes]]:
        """`Date`, which uvicorn sets each second."""
        return self.server_state.default_headers

    def body_taken(self) -> None:
        """Read on: the application has room."""
        if self._may_step:
            self._go_on()

    def started(self, exchange: Exchange, status: int) -> None:
        """Log the request."""
        head, now = exchange.head, self._options.clock.now()
        if self._access_log is None:
            self._access_log = AccessLog(":".join(map(str, self.client or ())), now)
        self._access_log.request(head, status, now)

    def finished(self, exchange: Exchange) -> None:
        """Go on with the next request, or close."""
        self._exchange = None
        if not exchange.keep_alive:
            self._close()
        else:
            self._wake()

    def failed(self, exchange: Exchange) -> None:  # noqa: ARG002 - the interface of Exchange
        """Close: the client cannot know where a broken response ends."""
        self._exchange = None
        self._close()

    def _wake(self) -> None:
        """Go on with what waited for an answer."""
        if self._closing or self._upgrading:
            return
        if self._may_step and self._reader.waiting_bytes:
            self._go_on()
        else:
            self._set_timer()
            self._set_reading()

    # -- flow control --------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The transport holds more than its high-water mark."""
        self.flow.set_full(on=True)

    def resume_writing(self) -> None:
        """The transport has drained."""
        self.flow.set_full(on=False)
        self._wake()
