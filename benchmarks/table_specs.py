"""The specification of each table: its title, what it answers, its columns. Data alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: heading, field of `Result`, what it is multiplied by, digits after the point."""

    heading: str
    quantity: str
    scale: float = 1.0
    digits: int = 0


@dataclass(frozen=True)
class TableSpec:
    """One table. `compared`: quantities whose ratios come first; `ours`: the subject of those ratios."""

    name: str
    title: str
    text: str
    columns: tuple[Column, ...]
    compared: tuple[str, ...]
    ours: str = "rtcli"


RATE = Column("per second", "per_second")
CPU = Column("server CPU s per million", "server_cpu_per_million", 1.0, 2)
SERVER = Column("server busy %", "server_share", 100.0)
CLIENT = Column("client busy %", "client_share", 100.0)
P50 = Column("p50 ms", "p50", 1e3, 2)
P99 = Column("p99 ms", "p99", 1e3, 2)
FANOUT = (RATE, CPU, SERVER, CLIENT, P50, P99)

TABLE_SPECS: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "fanout",
            "Fan-out",
            "S sockets in one room, 4 of them keep 8 messages each in flight; or 8 sockets, all "
            "publishing, 32 in flight each. The client is picows and parses every frame: from 95 % busy "
            "on it is the limit, not the server. `rtcli acked` is the same server when every publish "
            "carries an id: idempotent, acknowledged.",
            FANOUT,
            ("per_second", "server_cpu_per_million"),
        ),
        TableSpec(
            "limits",
            "Fan-out with a client that only counts",
            "The same loops, but members that only listen count a target in the received bytes instead of "
            "parsing frames. This shows what the fastest servers do when the load client does not hold "
            "them back.",
            FANOUT,
            ("per_second", "server_cpu_per_million"),
        ),
        TableSpec(
            "latency",
            "Latency of a delivery",
            "An open loop: one publisher, latency from the moment a message was due until it "
            "arrived, over every tenth member. First at the same load for all, then each at half of what "
            "it reached in a closed loop just before.",
            (RATE, P50, P99, Column("worst ms", "worst", 1e3, 1), CPU, CLIENT),
            ("p99", "server_cpu_per_million"),
        ),
        TableSpec(
            "publishes",
            "Publishes acknowledged",
            "8 publishers, each in a room of its own, 64 messages in flight each; the next goes out when "
            "one is acknowledged, which means: in the log.",
            (RATE, Column("server CPU s per million", "server_cpu_per_million", 1.0, 1), CLIENT, P50, P99),
            (),
        ),
        TableSpec(
            "instances",
            "Several instances on one Redis",
            "Members spread over one, two or four instances, all of them on the one server's core, Redis on "
            "the load client's; a log in memory beside them. In the rooms with a publisher each, and for 8 "
            "publishers, what counts is acknowledgements; in the rooms of 100 and 1 000, deliveries. What "
            "grows with the number of instances is their work together, per publish or delivery.",
            (
                RATE,
                CPU,
                Column("Redis CPU s per million", "store_cpu_per_million", 1.0, 2),
                CLIENT,
                P50,
                P99,
            ),
            ("per_second", "server_cpu_per_million"),
            "rtcli Redis, 2 instances",
        ),
        TableSpec(
            "connections",
            "Idle connections",
            "Every connection has its token checked and joins a room of 10; then the memory that the "
            "server gained, and messages among all of them.",
            (
                Column("accepted per second", "accepts_per_second"),
                Column("KB per connection", "bytes_per_connection", 1 / 1024, 1),
                P50,
                P99,
                CLIENT,
            ),
            ("accepts_per_second", "bytes_per_connection"),
        ),
        TableSpec(
            "sse",
            "Event streams",
            "1 000 streams of one room; 32 publications are on their way until the slowest of eight "
            "sampled streams has them.",
            (RATE, CPU, SERVER, CLIENT),
            ("per_second", "server_cpu_per_million"),
        ),
        TableSpec(
            "frozen",
            "One client that never reads",
            "A room of 1 000 at 40 messages of 8 000 characters a second; then the same with one more "
            "member that joined and never reads. The others' latency is what counts, measured once the "
            "kernel's buffers towards it are full.",
            (
                P50,
                P99,
                Column("worst ms", "worst", 1e3, 1),
                Column("memory gained KB", "grown_bytes", 1 / 1024),
            ),
            (),
        ),
        TableSpec(
            "startup",
            "Start",
            "From starting the process until it ends (`--version`) or answers its first request.",
            (Column("ms", "ready_s", 1e3),),
            ("ready_s",),
        ),
        TableSpec(
            "generators",
            "Load generators",
            "1 000 users of each generator, on one core, with its best script: in one room that receives a "
            "stream, with frames that are the same for all or made for each, or over event streams; and in "
            "rooms of ten in which everybody talks. Ours accounts for every delivery. k6 has no event "
            "streams.",
            (
                Column("received per second", "per_second"),
                Column("KB per user", "bytes_per_connection", 1 / 1024),
                CLIENT,
                Column("p50 ms at half of it", "p50", 1e3, 2),
                Column("p99 ms at half of it", "p99", 1e3, 2),
            ),
            ("per_second", "bytes_per_connection"),
            "rtcli loadtest",
        ),
    )
}
