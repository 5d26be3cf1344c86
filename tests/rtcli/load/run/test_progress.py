"""The progress of a run: users who are there and messages that were accepted, so far."""

from __future__ import annotations

from rich.console import Console

from rtcli.load.run.coordinator import RunState
from rtcli.load.run.progress import ProgressFigures, ProgressLines, line, table
from tests.support.load.runs import new_state

QUICK = """
name: quick
phases: [{ name: run, for: 10s }]
roles:
  reader: { users: 20, flow: [connect, { join: lobby }, hold] }
  writer: { users: 7, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 10/s } }] }
"""


def lossy() -> RunState:
    state = new_state(QUICK)
    state.users.update({0: 20, 1: 7})
    state.connections.update({0: 4, 1: 7})
    state.absent.update({0: 16, 1: 0})
    state.accepted.update({0: {"writer": {"run": 10}}, 1: {"writer": {"run": 1100, "more": 100}}})
    state.unsent.update({0: 0, 1: 35})
    return state


def test_users_and_messages_are_told_as_they_are_now() -> None:
    said = line(ProgressFigures(lossy()))
    assert "11 of 27 users, 1 210 of 1 245 messages, " in said
    assert "16 absent" in said
    assert "35 unsent" in said


def test_the_view_on_a_terminal_shows_the_same() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(ProgressFigures(lossy())))
    shown = capture.get()
    assert "11 of 27, 11 connections" in shown
    assert "1 210 of 1 245 accepted" in shown
    assert "16 absent, 35 unsent" in shown


def test_nothing_is_wrong_as_long_as_nobody_is_missing() -> None:
    state = lossy()
    state.absent.clear()
    state.accepted.clear()
    state.unsent.clear()
    assert ProgressFigures(state).failures == []
    said: list[str] = []
    ProgressLines(said.append).show(state)
    assert "27 of 27 users, 0 of 0 messages" in said[0]
