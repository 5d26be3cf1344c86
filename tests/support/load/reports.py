"""What reports of a load test say: the three accounts, JUnit's cases, and what is missing by code."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from rtcli.load.reporters import junit
from rtcli.load.results.model import RunResult

FIGURES = re.compile(r"(\d+) of (\d+) (users?|messages?|deliver(?:y|ies))")
ACCOUNTS = {"user": "users", "mess": "sends", "deli": "deliveries"}


def figures(said: str) -> dict[str, tuple[int, int]]:
    """The three accounts as they are written: `2 of 8 users`."""
    plain = said.replace("\N{NARROW NO-BREAK SPACE}", "").replace("\N{NO-BREAK SPACE}", "")
    found = (
        (ACCOUNTS[noun[:4]], (int(actual), int(planned))) for actual, planned, noun in FIGURES.findall(plain)
    )
    return dict(found)


def said_in_junit(result: RunResult) -> tuple[dict[str, tuple[int, int]], set[str], str]:
    """The accounts as JUnit's cases give them, the cases that failed, and what is said of those."""
    document = ET.fromstring(junit.render(result))  # noqa: S314 - it is ours
    cases = {str(case.get("name")): case for case in document.iter("testcase")}
    accounts: dict[str, tuple[int, int]] = {}
    failed, texts = set(), []
    for name, case in cases.items():
        outcome = next(iter(case), None)
        if outcome is None:
            continue
        words = f"{outcome.get('message', '')}\n{outcome.text or ''}"
        if name in ACCOUNTS.values():
            accounts[name] = figures(words.strip().splitlines()[0])[name]
        if outcome.tag in {"failure", "error"}:
            failed.add(name)
            texts.append(words)
    return accounts, failed, "\n".join(texts)


def missing(result: RunResult) -> dict[str, int]:
    """How many users and messages are missing, by code."""
    assert result.accounts is not None
    found: dict[str, int] = {}
    for item in (*result.accounts.users.shortfalls, *result.accounts.sends.shortfalls):
        found[item.code] = found.get(item.code, 0) + item.count
    return found


def excused(result: RunResult) -> int:
    """The messages whose answers the end of the run prevented."""
    assert result.accounts is not None
    return result.accounts.sends.excused
