"""What the load client can be asked to do, and what it answers: plain values, JSON between processes."""

import msgspec


class Target(msgspec.Struct, frozen=True):
    """The server under test: port, dialect (a key of `DIALECTS`), processes, token secret.

    `more_ports`: further instances of it, to which the members are spread. `store_pids`: what they share.
    """

    port: int
    dialect: str
    pids: list[int]
    secret: str
    more_ports: list[int] = []
    store_pids: list[int] = []


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Closed loop: `sockets` members of one room, `publishers` of them keep `window` messages in flight.

    With `acked`, each publisher is alone in its room and goes on by acknowledgements: publishes per second.
    With `strict`, the client is picows and parses every frame; else it counts marks in the bytes.
    """

    target: Target
    sockets: int
    publishers: int
    window: int
    warmup_s: float
    seconds: float
    acked: bool = False
    strict: bool = False


class Paced(msgspec.Struct, frozen=True, tag="paced"):
    """Open loop: `rate` publications a second into a room of `sockets`; every `sample`-th member times.

    `frozen` further members join and then never read. Texts have `length` characters.
    """

    target: Target
    sockets: int
    rate: float
    warmup_s: float
    seconds: float
    sample: int = 10
    frozen: int = 0
    length: int = 100


class Idle(msgspec.Struct, frozen=True, tag="idle"):
    """Connect `sockets` members, `at_once` handshakes at a time, into rooms of `room_size`.

    After `rest_s` the memory is read; then `rate` messages a second among all of them for `seconds`.
    """

    target: Target
    sockets: int
    at_once: int
    room_size: int
    rest_s: float
    rate: float
    seconds: float


class Streams(msgspec.Struct, frozen=True, tag="streams"):
    """Closed loop over event streams: `window` publications are on their way to the slowest stream."""

    target: Target
    streams: int
    window: int
    warmup_s: float
    seconds: float


class Source(msgspec.Struct, frozen=True, tag="source"):
    """One member that publishes `rate` messages a second from `start_s` (unix) on, for `seconds`."""

    target: Target
    rate: float
    start_s: float
    seconds: float


Job = Closed | Paced | Idle | Streams | Source


class Result(msgspec.Struct, frozen=True):
    """What was measured. Times in seconds, memory in bytes; a quantity that the job does not measure is null.

    `delivered` and `expected` are the audit: what arrived, and what was published times members.
    `client_share`: how busy the load client was; from 0.95 on it, and not the server, may be what limits the
    figure.
    """

    per_second: float | None = None
    server_cpu_per_million: float | None = None
    server_share: float | None = None
    store_cpu_per_million: float | None = None
    client_share: float | None = None
    p50: float | None = None
    p99: float | None = None
    worst: float | None = None
    delivered: int | None = None
    expected: int | None = None
    accepts_per_second: float | None = None
    bytes_per_connection: float | None = None
    grown_bytes: int | None = None
    ready_s: float | None = None
    stalls: int = 0
