"""What `rtcli serve` refuses before it asks anybody."""

from __future__ import annotations

import logging
import sys

import pytest

from rtcli.apps.serve import ServerRun
from rtcli.errors import CliError
from rtcli_server.settings import Settings


def test_several_workers_need_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    settings = Settings(workers=2, store="redis://127.0.0.1:1")
    with pytest.raises(CliError, match="need Linux") as refused:
        ServerRun(settings, None, uses_development_key=False, log_level=logging.WARNING).run()
    assert "--store redis://" in refused.value.hint
