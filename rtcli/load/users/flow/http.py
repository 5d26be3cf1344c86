"""The `http` step: one request to the deployment."""

from __future__ import annotations

from typing import NamedTuple

import httpx
import msgspec

from rtcli.load.scenario.expressions import render_tree
from rtcli.load.scenario.steps import Http
from rtcli.load.users.context import UserContext


class Answer(NamedTuple):
    """The answer. `status` is 0 when there was none; `tree` is its JSON, or None."""

    status: int
    tree: object


async def request(user: UserContext, step: Http) -> Answer:
    """Make the request; its duration is recorded even if it fails."""
    worker = user.worker
    headers = {name: value.render(user.scope, user.rng) for name, value in step.headers.items()}
    token = user.token()
    if token is not None and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = f"Bearer {token}"
    content = None if step.json is None else msgspec.json.encode(render_tree(step.json, user.scope, user.rng))
    if content is not None:
        headers.setdefault("Content-Type", "application/json")
    url = worker.spec.endpoint.base + step.path.render(user.scope, user.rng)
    started = worker.now()
    try:
        response = await worker.http.request(
            step.method, url, content=content, headers=headers, timeout=step.timeout
        )
    except httpx.HTTPError as error:
        user.report_problem(f"{step.method} failed: {type(error).__name__}")
        return Answer(0, None)
    finally:
        now = worker.now()
        recorder = user.recorders.get("http_req_duration", step=step.label)
        recorder.record(worker.bin_key(now), now - started)
    try:
        return Answer(response.status_code, msgspec.json.decode(response.content))
    except msgspec.DecodeError:
        return Answer(response.status_code, None)
