"""What does each kind of step."""

from __future__ import annotations

from collections.abc import Mapping

from rtcli.load import flow_connection, flow_messages, flow_waiting
from rtcli.load.flow import Action
from rtcli.load.scenario_steps import (
    BackoffStep,
    Choose,
    Connect,
    Disconnect,
    Expect,
    Hold,
    Http,
    Join,
    KillStep,
    Leave,
    Log,
    Loop,
    Resume,
    Send,
    Signal,
    Think,
    Typing,
    Wait,
)

ACTIONS: Mapping[type, Action] = {
    Connect: flow_connection.connect,
    Disconnect: flow_connection.disconnect,
    KillStep: flow_connection.kill,
    BackoffStep: flow_connection.backoff,
    Resume: flow_connection.resume,
    Join: flow_messages.join,
    Leave: flow_messages.leave,
    Send: flow_messages.send,
    Typing: flow_messages.typing,
    Expect: flow_waiting.expect,
    Think: flow_waiting.think,
    Hold: flow_waiting.hold,
    Loop: flow_waiting.loop,
    Choose: flow_waiting.choose,
    Wait: flow_waiting.wait,
    Signal: flow_waiting.signal,
    Http: flow_waiting.http,
    Log: flow_waiting.log,
}
