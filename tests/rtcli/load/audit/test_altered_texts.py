"""Servers that change texts: each delivery is named, with room, sender and receiver, and none called lost."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle

import pytest

from rtcli.load.audit.token import LENGTH
from rtcli.load.reporters import text as terminal
from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.altering_server import Change, json_chat, stream_hub
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import run

TEXTS = [
    "plain",
    'a "quoted" \\ path\\u0041/with/slashes',
    "two\nlines\tand a tab",
    "<b>bold</b> & more",
    "\u0646\u0635 \u05d8\u05e7\u05e1\u05d8 \u4e2d\u6587 \ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \u00e9 e\u0301",
    "\u0001\u001b[31m\u007f\u0085\u2028\ufeff",
    '{"json": ["in a text", "\\n"]}',
]
RTCLI = (
    "target: { protocol: rtcli }",
    "connect, { join: hall }",
    """
      tail: { users: 2, protocol: sse, flow: [{ connect: { rooms: [hall] } }, hold] }""",
)
JSON = (
    """target:
      protocol: json
      frames:
        join: { action: enter, channel: "${room}" }
        joined: { match: { event: entered }, room: channel }
        send: { action: say, channel: "${room}", text: "${text}", ref: "${id}" }
        ack: { match: { event: ok }, id: ref }
        data: { match: { event: said }, room: channel, text: body.text }""",
    "connect, { join: hall }",
    "",
)
SSE = (
    'target: { protocol: sse, publish: { path: "/pub/${room}", body: "${text}" } }',
    "connect: { path: /sub/hall, rooms: [hall] }",
    "",
)
PROTOCOLS = {
    "rtcli": RTCLI,
    "json": JSON,
    "json without a path": (JSON[0].replace(", text: body.text", ""), *JSON[1:]),
    "sse": SSE,
}


def in_yaml(text: str) -> str:
    """A text in YAML, every character that is not plain ASCII as an escape."""
    plain = (it if it.isascii() and it.isalnum() else f"\\U{ord(it):08x}" for it in text)
    return f'"{"".join(plain)}"'


def scenario(protocol: str, text: str = "whole") -> str:
    target, enter, more = PROTOCOLS[protocol]
    values = ", ".join(in_yaml(it) for it in TEXTS)
    enter = enter if enter.startswith("connect,") else f"{{ {enter} }}"
    return f"""
    name: altered
    {target}
    phases:
      - {{ name: gather, for: 400ms, publish: stop }}
      - {{ name: run, for: 1s }}
      - {{ name: drain, for: 300ms, publish: stop }}
    roles:
      reader: {{ users: 3, flow: [{enter}, hold] }}
      writer:
        users: 2
        flow: [{enter}, {{ send: {{ room: hall, rate: 15/s, text: "${{text}}" }} }}]{more}
    data: {{ text: {{ values: [{values}], each: use, pick: sequence }} }}
    audit: {{ text: {text}, settle: 300ms, evidence: 5000 }}
    """


@asynccontextmanager
async def server(protocol: str, change: Change) -> AsyncIterator[str]:
    if protocol == "rtcli":
        async with faulty_server(Faults({}, change=change)) as faulty:
            yield faulty.url
    else:
        async with (stream_hub if protocol == "sse" else json_chat)(change) as url:
            yield url


def altering() -> Change:
    """Replaces a text, cuts the next one short, cuts the one after that within its token."""
    ways: Iterator[Change] = cycle(
        [
            lambda text: text[:LENGTH] + " [removed]",
            lambda text: text[: LENGTH + 3],
            lambda text: text[: LENGTH - 12],
        ]
    )

    def change(text: str) -> str:
        way = next(ways)
        return way(text)

    return change


def sent_once_to(result: RunResult, protocol: str) -> int:
    assert result.audit is not None
    assert result.audit.counts["sent"] > 3
    return result.audit.counts["sent"] * (7 if protocol == "rtcli" else 5)


@pytest.mark.parametrize(
    ("protocol", "workers"),
    [("rtcli", 1), ("rtcli", 2), ("json", 2), ("json without a path", 1), ("sse", 1), ("sse", 2)],
)
async def test_every_altered_delivery_is_named_and_none_called_lost(protocol: str, workers: int) -> None:
    async with server(protocol, altering()) as url:
        result = await run(scenario(protocol), url, workers=workers)
    assert result.audit is not None
    counts, due = result.audit.counts, sent_once_to(result, protocol)
    assert {kind: counts[kind] for kind in ("corrupt", "lost", "phantom", "leak", "delivered")} == {
        "corrupt": due, "lost": 0, "phantom": 0, "leak": 0, "delivered": 0
    }  # fmt: skip
    assert counts["expected"] == due
    assert result.verdict is Verdict.VIOLATION
    named = {(it.subscriber, it.publisher, it.number) for it in result.audit.violations}
    assert len(named) == due == len(result.audit.violations)
    assert {it.room for it in result.audit.violations} == {"hall"}
    assert {it.publisher.split()[0] for it in result.audit.violations} == {"writer"}


@pytest.mark.parametrize("protocol", ["rtcli", "json without a path", "sse"])
async def test_escaping_html_is_a_change_unless_the_scenario_allows_it(protocol: str) -> None:
    async with server(protocol, html.escape) as url:
        strict = await run(scenario(protocol), url)
        lenient = await run(scenario(protocol, "token"), url)
    assert strict.audit is not None
    assert lenient.audit is not None
    assert strict.verdict is Verdict.VIOLATION
    counts = strict.audit.counts
    assert 0 < counts["corrupt"] == counts["expected"] - counts["delivered"] < counts["expected"]
    assert counts["lost"] == 0
    assert lenient.verdict is Verdict.PASSED, lenient.reasons
    assert lenient.audit.counts["delivered"] == sent_once_to(lenient, protocol)
    assert (strict.audit.text, lenient.audit.text) == ("whole", "token")
    assert "texts not compared" in terminal.render(lenient)


@pytest.mark.parametrize(
    ("protocol", "workers"),
    [("rtcli", 2), ("json", 1), ("json without a path", 2), ("sse", 1), ("sse", 2)],
)
async def test_texts_of_all_kinds_pass_through_a_server_that_keeps_them(protocol: str, workers: int) -> None:
    async with server(protocol, str) as url:
        result = await run(scenario(protocol), url, workers=workers)
    assert result.audit is not None
    assert result.verdict is Verdict.PASSED, (result.reasons, result.audit.groups)
    assert result.audit.counts["delivered"] == sent_once_to(result, protocol)
