"""Steps of a flow: what it expects of frames and HTTP answers, and what it captures of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import httpx
import msgspec

from rtcli.client.net.answers import ask
from rtcli.json_path import has, lookup
from rtcli.load.net.patience import patient_timeout
from rtcli.load.scenario.expressions import render_tree
from rtcli.load.scenario.steps import Expect, Http
from rtcli.load.users.context import UserContext
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.frame_observers import FrameMatcher, Pattern

MAX_ANSWER_BYTES = 4_194_304  # of an answer to an `http` step, decompressed


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
        async with patient_timeout(step.within):
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
    answer = await _request(flow.context, step)
    flow.check(step, good=answer.status in step.status)
    _capture(flow, answer.tree, step.capture)


def _capture(flow: Flow, tree: object, captures: Mapping[str, str]) -> None:
    for name, path in captures.items():
        if has(tree, path):
            flow.context.scope.session[name] = lookup(tree, path)


class _Answer(NamedTuple):
    """The answer. `status` is 0 when there was none that could be read; `tree` is its JSON, if needed."""

    status: int
    tree: object


async def _request(user: UserContext, step: Http) -> _Answer:
    """Make the request; its duration is recorded even if it fails."""
    worker = user.worker
    headers = {name: value.render(user.scope, user.rng) for name, value in step.headers.items()}
    token = user.token()
    if token is not None and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = f"Bearer {token}"
    content = None if step.json is None else msgspec.json.encode(render_tree(step.json, user.scope, user.rng))
    if content is not None:
        headers.setdefault("Content-Type", "application/json")
    url = worker.url(step.path.render_path(user.scope, user.rng))
    started = worker.now()
    try:
        http = worker.http
        request = http.build_request(step.method, url, content=content, headers=headers, timeout=step.timeout)
        answer = await ask(http, request, max_bytes=MAX_ANSWER_BYTES, timeout_s=step.timeout, redirects=0)
    except httpx.HTTPError as error:
        user.report_problem(f"{step.method} failed: {type(error).__name__}")
        return _Answer(0, None)
    finally:
        now = worker.now()
        recorder = user.recorders.get("http_req_duration", step=step.label)
        recorder.record(worker.bin_key(now), now - started)
    if answer.problem:
        user.report_problem(f"{step.method} failed: the server sent {answer.problem}")
        return _Answer(0, None)
    return _Answer(answer.status, _parse(answer.content) if step.capture else None)


def _parse(content: bytes) -> object:
    """The JSON of an answer; None when it is none, or nested too deeply."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
