"""The names that `rtcli.client` promises to programs that build on it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtcli import client

NAMES = {
    "Endpoint", "EventStream", "Publisher", "RealtimeClient", "Reconnect", "TlsOptions", "WebSocketTarget",
    "make_http", "parse_endpoint",
}  # fmt: skip


def test_the_public_names_last() -> None:
    assert set(client.__all__) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_public_name_exists(name: str) -> None:
    assert getattr(client, name).__module__.startswith("rtcli.client.")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"rtcli\.client.*'Nobody'"):
        client.Nobody  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, rtcli.client; print([m for m in ('httpx', 'websockets', 'asyncio') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
