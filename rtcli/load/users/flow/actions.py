"""What does each kind of step."""

from __future__ import annotations

from collections.abc import Mapping

from rtcli.load.scenario.steps import (
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
from rtcli.load.users.flow import checks as flow_checks
from rtcli.load.users.flow import connection as flow_connection
from rtcli.load.users.flow import control as flow_control
from rtcli.load.users.flow import messages as flow_messages
from rtcli.load.users.flow.runner import Action

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
    Expect: flow_checks.expect,
    Think: flow_control.think,
    Hold: flow_control.hold,
    Loop: flow_control.loop,
    Choose: flow_control.choose,
    Wait: flow_control.wait,
    Signal: flow_control.signal,
    Http: flow_checks.http,
    Log: flow_control.log,
}
