"""Steps of a flow: what it looks at, in frames and in answers, and what it keeps of that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rtcli.load.core.json_path import has, lookup
from rtcli.load.scenario.steps import Expect, Http
from rtcli.load.users.flow.http import request
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.frame_observers import FrameMatcher, Pattern


async def expect(flow: Flow, step: Expect) -> None:
    """Watch every frame for one that matches."""
    pattern = Pattern(
        None if step.type is None else flow.text(step.type),
        {path: flow.text(value) for path, value in step.where.items()},
        None if step.contains is None else flow.text(step.contains),
    )
    watcher = FrameMatcher(pattern, step.count)
    if flow.before is not None and not step.absent:
        flow.before.replay(watcher)
    flow.user.watch(watcher)
    try:
        async with asyncio.timeout(step.within):
            await watcher.done.wait()
        seen = True
    except TimeoutError:
        seen = False
    finally:
        flow.user.unwatch(watcher)
    flow.check(step, good=seen is not step.absent)
    if seen:
        _capture(flow, watcher.found, step.capture)


async def http(flow: Flow, step: Http) -> None:
    """Make a request to the deployment."""
    answer = await request(flow.worker, flow.user, step)
    flow.check(step, good=answer.status in step.status)
    _capture(flow, answer.tree, step.capture)


def _capture(flow: Flow, tree: object, captures: Mapping[str, str]) -> None:
    for name, path in captures.items():
        if has(tree, path):
            flow.user.scope.session[name] = lookup(tree, path)
