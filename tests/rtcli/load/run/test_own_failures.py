"""What fails in the generator itself ends the run with 1; it is named, and nobody else is blamed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rtcli.errors import Exit
from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.run.coordinator import RunState
from tests.support.load.installed_adapter import install_adapter
from tests.support.load.runs import run
from tests.support.servers.live_server import SECRET, LiveServer, live_server

WS = """
    from rtcli.load.adapters import RtcliWs

    class Adapter(RtcliWs):
        def __init__(self, target): ...

        def {method}(self, *arguments, **named):
            {body}
"""
SSE = WS.replace("RtcliWs", "RtcliSse")
WS_FLOW = """
    name: broken
    target: {{ protocol: {protocol} }}
    phases: [{{ name: run, for: 20s }}]
    roles:
      talker:
        users: 2
        flow: [connect, {{ join: lobby }}, {{ typing: lobby }}, {{ send: lobby }}, {{ leave: lobby }}]
"""
SSE_FLOW = """
    name: broken
    target: {{ protocol: {protocol}, publish: {{ path: "/rooms/${{room}}", body: "${{text}}" }} }}
    phases: [{{ name: run, for: 20s }}]
    roles:
      tail: {{ users: 2, flow: [{{ connect: {{ rooms: [lobby] }} }}, hold] }}
"""
LINE = 8  # of the adapter's statement that raises
WS_METHODS = {
    "url": ("None", "a str"),
    "headers": ("{'Origin': 'x'}", "a list of pairs of str"),
    "hello": ("['x']", "a list of bytes"),
    "join": ("'x'", "bytes or None"),
    "typing": ("'x'", "bytes or None"),
    "send": ("None", "bytes"),
    "leave": ("'x'", "bytes or None"),
    "parse": ("None", "an event of rtcli.load.adapters"),
}
SSE_METHODS = {
    "target": ("None", "a str"),
    "headers": ("None", "a list of pairs of str"),
    "parse": ("None", "a list of events"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


def assert_broken(result: RunResult, *said: str) -> None:
    assert result.exit_code is Exit.BUG, result.reasons
    assert result.duration < 15, "the run did not end early"
    (reason,) = result.reasons
    for text in said:
        assert text in reason
    assert not any("1011" in note for note in result.notes)


@pytest.mark.parametrize("method", WS_METHODS)
async def test_an_adapter_over_websocket_that_raises_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    name = f"raises_{method}"
    install_adapter(tmp_path, monkeypatch, name, WS.format(method=method, body='raise KeyError("nowhere")'))
    result = await run(WS_FLOW.format(protocol=name), server.url, secret=SECRET)
    said = f"a bug in the adapter `{name}`: its {method} raised KeyError: 'nowhere' ({name}.py:{LINE})"
    assert_broken(result, said, "for talker ", "step ", "line ")


@pytest.mark.parametrize("method", SSE_METHODS)
async def test_an_adapter_over_event_streams_that_raises_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    name = f"stream_raises_{method}"
    install_adapter(tmp_path, monkeypatch, name, SSE.format(method=method, body='raise KeyError("nowhere")'))
    result = await run(SSE_FLOW.format(protocol=name), server.url, secret=SECRET)
    said = f"a bug in the adapter `{name}`: its {method} raised KeyError: 'nowhere' ({name}.py:{LINE})"
    assert_broken(result, said, "for tail ")


@pytest.mark.parametrize("method", WS_METHODS)
async def test_an_adapter_that_returns_something_else_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    name = f"returns_{method}"
    value, wanted = WS_METHODS[method]
    install_adapter(tmp_path, monkeypatch, name, WS.format(method=method, body=f"return {value}"))
    result = await run(WS_FLOW.format(protocol=name), server.url, secret=SECRET)
    assert_broken(result, f"its {method} returned {value}, not {wanted}")


@pytest.mark.parametrize("start", ["1", "('~me', None, None)", "adapters.ChannelStart('~me', 7, None)"])
async def test_an_adapter_that_begins_channels_with_something_else_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    name = f"starts_{len(start)}"
    body = f"from rtcli.load import adapters; return adapters.Hello('c', [{start}])"
    install_adapter(tmp_path, monkeypatch, name, WS.format(method="parse", body=body))
    result = await run(WS_FLOW.format(protocol=name), server.url, secret=SECRET)
    assert_broken(result, "its parse returned Hello(", "not channels that are each a ChannelStart")


@pytest.mark.parametrize("method", SSE_METHODS)
async def test_an_adapter_of_streams_that_returns_something_else_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    name = f"stream_returns_{method}"
    value, wanted = SSE_METHODS[method]
    install_adapter(tmp_path, monkeypatch, name, SSE.format(method=method, body=f"return {value}"))
    result = await run(SSE_FLOW.format(protocol=name), server.url, secret=SECRET)
    assert_broken(result, f"its {method} returned {value}, not {wanted}")


async def test_an_adapter_that_ends_the_process_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WS.format(method="send", body="raise SystemExit(3)")
    install_adapter(tmp_path, monkeypatch, "exits", source)
    result = await run(WS_FLOW.format(protocol="exits"), server.url, secret=SECRET)
    assert_broken(result, "its send raised SystemExit")


async def test_an_adapter_that_cannot_be_made_in_a_worker_is_named(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WS.format(method="__init__", body='raise OSError("no such licence")')
    install_adapter(tmp_path, monkeypatch, "unmade", source)
    result = await run(WS_FLOW.format(protocol="unmade"), server.url, secret=SECRET, workers=2)
    assert_broken(result, "the adapter for 'unmade' cannot be made: OSError: no such licence")


DATA = """
    name: data
    phases: [{ name: run, for: 20s }]
    data: { row: { values: [1, x, 3], pick: sequence } }
    roles:
      talker:
        users: 3
        flow: [connect, { join: lobby }, STEP]
"""


@pytest.mark.parametrize(
    "step",
    [
        '{ send: { room: lobby, text: "${mod(row, 5)}" } }',
        '{ send: { room: lobby, text: "${mod(row, 5)}", rate: 20/s } }',
    ],
)
async def test_data_that_do_not_fit_are_named_with_their_step(server: LiveServer, step: str) -> None:
    result = await run(DATA.replace("STEP", step), server.url, secret=SECRET)
    assert_broken(result, "${mod(...)} cannot use ['x', 5", "for talker ", "in step 3.send, line 8")


class KillsAWorker:
    """Kills a worker of this process once everybody is connected and both have told of messages."""

    def __init__(self, users: int, number: int) -> None:
        self._users = users
        self._signal = number
        self.killed = False

    def show(self, state: RunState) -> None:
        told = sum(any(phases.values()) for roles in state.accepted.values() for phases in roles.values())
        if not self.killed and sum(state.connections.values()) == self._users and told == 2:
            workers = [
                child
                for child in psutil.Process().children()
                if "rtcli.load.run.worker_process" in " ".join(child.cmdline())
            ]
            workers.sort(key=lambda child: child.create_time())
            os.kill(workers[1].pid, self._signal)
            self.killed = True


TALK = """
    name: talk
    phases: [{ name: gather, for: 1500ms, publish: stop }, { name: run, for: 20s }]
    roles:
      reader: { users: 5, flow: [connect, { join: lobby }, hold] }
      writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }] }
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, Exit.INCONCLUSIVE), (signal.SIGSEGV, Exit.BUG)], ids=str
)
async def test_a_killed_worker_does_not_take_the_results_of_the_others_with_it(
    server: LiveServer, number: signal.Signals, code: Exit
) -> None:
    view = KillsAWorker(7, number)
    result = await run(TALK, server.url, workers=2, secret=SECRET, view=view)
    assert view.killed
    assert result.exit_code is code, result.reasons
    assert f"worker 2 was killed (signal {int(number)}, {number.name})" in " ".join(result.reasons)
    assert result.duration < 15
    assert result.audit is not None
    assert result.audit.counts["delivered"] > 10
    assert result.audit.found == 0, result.audit.groups
    assert result.accounts is not None
    users = result.accounts.users
    assert (users.present, users.planned) == (4, 7)
    assert {item.role: item.count for item in users.shortfalls} == {"reader": 2, "writer": 1}
    assert all(item.by_generator for item in users.shortfalls)
    assert result.verdict is not Verdict.VIOLATION
    sends = result.accounts.sends  # those of the lost writer are due by plan, as long as the run went on
    late = result.metrics["loop_lag"].max or 0.0  # perhaps at the end: the other worker came to no more then
    assert sends.due == pytest.approx(2 * 20 * (result.duration - 1.5), abs=4 + 20 * late)
    assert sends.due - sends.accepted - sends.excused == sum(item.count for item in sends.shortfalls) > 0
    assert {(item.role, item.by_generator) for item in sends.shortfalls} == {("writer", True)}
