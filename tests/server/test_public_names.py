"""What the server's package offers to other applications, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rtcli_server

NAMES = [
    "ConflictError",
    "ConnectRequest",
    "Disconnected",
    "Hooks",
    "JoinRequest",
    "NotRunningError",
    "Presence",
    "PublishRequest",
    "Queued",
    "Realtime",
    "RealtimeError",
    "Receipt",
    "RedactionFilter",
    "Refuse",
    "Rename",
    "Rewrite",
    "Settings",
    "UnavailableError",
    "create_app",
    "realtime_router",
]


def test_the_public_names() -> None:
    assert sorted(rtcli_server.__all__) == NAMES
    assert all(callable(getattr(rtcli_server, name)) for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'create_server'"):
        getattr(rtcli_server, "create_server")  # noqa: B009 - mypy knows that there is none


def test_the_web_framework_is_imported_with_the_first_name_that_needs_it() -> None:
    program = (
        "import sys, rtcli_server\n"
        "print([name in sys.modules for name in ('fastapi', 'uvicorn', 'pydantic')])\n"
        "rtcli_server.realtime_router\n"
        "print('fastapi' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[False, False, False]", "True"]
