"""Steps of a flow: what it expects of frames and HTTP answers, and what it captures of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rtcli.load.core.json_path import has, lookup
from rtcli.load.scenario.steps import Expect, Http
from rtcli.load.users.flow.http import request
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.frame_observers import FrameMatcher, Pattern


async def expect(flow: Flow, step: Expect) -> None:
    """Wait for frames that match."""
    pattern = Pattern(
        None if step.type is None else flow.text(step.type),
        {path: flow.text(value) for path, value in step.where.items()},
        None if step.contains is None else flow.text(step.contains),
    )
    matcher = FrameMatcher(pattern, step.count)
    if flow.before is not None and not step.absent:
        flow.before.replay(matcher)
    flow.user.transport.add_observer(matcher)
    try:
        async with asyncio.timeout(step.within):
            await matcher.done.wait()
        seen = True
    except TimeoutError:
        seen = False
    finally:
        flow.user.transport.remove_observer(matcher)
    flow.check(step, good=seen is not step.absent)
    if seen:
        _capture(flow, matcher.match, step.capture)


async def http(flow: Flow, step: Http) -> None:
    """Make a request to the deployment."""
    answer = await request(flow.context, step)
    flow.check(step, good=answer.status in step.status)
    _capture(flow, answer.tree, step.capture)


def _capture(flow: Flow, tree: object, captures: Mapping[str, str]) -> None:
    for name, path in captures.items():
        if has(tree, path):
            flow.context.scope.session[name] = lookup(tree, path)
