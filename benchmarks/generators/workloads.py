"""What the generators are put to: who receives, who sends, from which server. Data alone."""

from dataclasses import dataclass

from benchmarks.cases import EVENT_STREAMS, JSON_FRAMES, OWN_FRAMES, RECEIVING, TALKING

USERS = 1_000


@dataclass(frozen=True)
class Workload:
    """One case of the table. `server`: a name of `PEERS`; `scenario`: the file of our own load tester.

    `start_rates`: who takes part, with the messages a second into each room with which the climb begins.
    `path`: where the users connect. `everybody_talks`: in rooms of `room_size` users each of them sends, so
    that every user receives `room_size` times what it sends; else one more connection publishes.
    """

    name: str
    server: str
    scenario: str
    start_rates: dict[str, int]
    path: str = "/api/v1/ws"
    room_size: int = USERS
    everybody_talks: bool = False
    streams: bool = False


WORKLOADS = (
    Workload(
        RECEIVING, "rtcli", "receive.yaml", {"Artillery": 160, "Locust": 10, "k6": 20, "rtcli loadtest": 400}
    ),
    Workload(
        OWN_FRAMES, "numbered", "frames.yaml", {"Locust": 10, "k6": 10, "rtcli loadtest": 100}, path="/ws"
    ),
    Workload(JSON_FRAMES, "rtcli", "frames.yaml", {"Locust": 10, "k6": 10, "rtcli loadtest": 200}),
    Workload(
        TALKING, "rtcli", "talk.yaml", {"k6": 5, "rtcli loadtest": 50}, room_size=10, everybody_talks=True
    ),
    Workload(
        EVENT_STREAMS, "rtcli", "streams.yaml", {"Locust": 10, "rtcli loadtest": 100},
        path="/api/v1/events/stream", streams=True,
    ),
)  # fmt: skip
