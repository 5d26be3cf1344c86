"""The budget of the process: only what waits for more than a second counts, and the slowest go first."""

from __future__ import annotations

from rtcli_server.connections.process_budget import ProcessBudget

TICK_S = 0.1
LIMIT = 1_000


class FakeOutput:
    """A connection that sends `rate` bytes in each tick."""

    def __init__(self, name: str, rate: int = 0) -> None:
        self.name = name
        self.rate = rate
        self.waiting_bytes = 0

    def cut_off(self) -> None:
        self.waiting_bytes = 0
        CUT.append(self.name)


CUT: list[str] = []


class World:
    def __init__(self, *outputs: FakeOutput) -> None:
        CUT.clear()
        self.now = 100.0
        self.budget = ProcessBudget(lambda: outputs, LIMIT)
        self.outputs = outputs

    def run(self, ticks: int, *, written: int = 0) -> list[str]:
        """Let time pass; `written` bytes are written to each output in each tick, and it sends some."""
        for _ in range(ticks):
            for output in self.outputs:
                output.waiting_bytes = max(0, output.waiting_bytes + written - output.rate)
            self.now += TICK_S
            self.budget.tick(self.now)
        return CUT


def test_what_waits_for_less_than_a_second_does_not_count() -> None:
    outputs = [FakeOutput(f"{number}", rate=25) for number in range(100)]
    world = World(*outputs)
    for _ in range(5):  # 20 000 bytes in all, read within 0.8 s
        for output in outputs:
            output.waiting_bytes = 200
        assert world.run(15) == []


def test_a_flow_in_bursts_through_buffers_that_are_never_empty_does_not_count() -> None:
    outputs = [FakeOutput(f"{number}", rate=50) for number in range(10)]
    world = World(*outputs)
    for output in outputs:
        output.waiting_bytes = 300
    for _ in range(10):
        for output in outputs:
            output.waiting_bytes += 200  # each byte waits for 1 s at most
        assert world.run(4) == []


def test_over_the_budget_the_slowest_go_first_until_it_holds() -> None:
    slow, slower, frozen = FakeOutput("slow", rate=20), FakeOutput("slower", rate=5), FakeOutput("frozen")
    for output in (slow, slower, frozen):
        output.waiting_bytes = 800
    world = World(slow, slower, frozen)
    assert world.run(15, written=1) == ["frozen", "slower"]
    assert 0 < slow.waiting_bytes <= LIMIT


def test_of_those_that_send_nothing_the_first_to_stop_goes_first() -> None:
    first, second = FakeOutput("first"), FakeOutput("second")
    world = World(second, first)
    first.waiting_bytes = 600
    world.run(15)
    second.waiting_bytes = 600
    assert world.run(30) == ["first"]
    assert second.waiting_bytes == 600


def test_nobody_is_cut_within_the_budget() -> None:
    frozen = FakeOutput("frozen")
    frozen.waiting_bytes = LIMIT
    assert World(frozen).run(100) == []


def test_thousands_of_small_amounts_count_as_large_ones_do() -> None:
    outputs = [FakeOutput(f"{number}") for number in range(300)]
    for output in outputs:
        output.waiting_bytes = 5
    World(*outputs).run(40)
    assert len(CUT) == 100
    assert sum(output.waiting_bytes for output in outputs) == LIMIT


def test_one_that_has_read_everything_is_forgotten() -> None:
    output = FakeOutput("a")
    world = World(output)
    output.waiting_bytes = 900
    world.run(15)
    output.waiting_bytes = 0
    world.run(1)
    output.waiting_bytes = 900
    assert world.run(9) == []
