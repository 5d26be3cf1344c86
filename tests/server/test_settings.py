"""Settings from the environment, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rtcli_server.settings import Settings


def test_the_environment_gives_every_kind_of_value() -> None:
    settings = Settings.from_env(
        {
            "RTCLI_SERVER_PORT": "9000",
            "RTCLI_SERVER_ORIGINS": "https://a.example  https://b.example",
            "RTCLI_SERVER_USER_CONNECTIONS": "off",
            "RTCLI_SERVER_TLS_CERT": "/x",
            "RTCLI_SERVER_FAST_WEBSOCKETS": "false",
            "PATH": "/bin",
        }
    )
    assert settings.port == 9_000
    assert settings.origins == ("https://a.example", "https://b.example")
    assert settings.user_connections is None
    assert settings.tls_cert == Path("/x")
    assert not settings.fast_websockets


def test_overrides_win_unless_they_are_none() -> None:
    env = {"RTCLI_SERVER_PORT": "9000", "RTCLI_SERVER_HOST": "::1"}
    settings = Settings.from_env(env, port=1, host=None, rate_limit_per_s="off")
    assert (settings.port, settings.host, settings.rate_limit_per_s) == (1, "::1", None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "70000"),
        ("PORT", "off"),
        ("NONSENSE", "1"),
        ("HISTORY_SIZE", "0"),
        ("MAX_REPLAY", "501"),
        ("RATE_LIMIT_PER_S", "nan"),
        ("RATE_LIMIT_PER_S", "inf"),
        ("PING_INTERVAL_S", "-1"),
        ("DRAIN_TIMEOUT_S", "0"),
        ("LOG_FORMAT", "xml"),
        ("SEND_BUDGET_BYTES", "1"),
        ("WORKERS", "0"),
    ],
)
def test_invalid_values_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings.from_env({f"RTCLI_SERVER_{name}": text})
    assert error.value.errors()[0]["loc"] == (name.lower(),)


def test_secrets_are_not_shown() -> None:
    secret = "a-secret-of-more-than-thirty-two-bytes"
    assert secret not in repr(Settings(secrets=(secret,)))
    with pytest.raises(ValidationError) as error:
        Settings.from_env({"RTCLI_SERVER_SECRETS": secret, "RTCLI_SERVER_PORT": "x"})
    assert secret not in str(error.value)


def test_trusted_proxies_are_networks_and_never_everybody() -> None:
    settings = Settings.from_env({"RTCLI_SERVER_TRUSTED_PROXIES": "10.0.0.0/8 ::1"})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    for wrong in ("10.0.0.1/8", "proxy.example", "0.0.0.0/0", "::/0"):
        with pytest.raises(ValidationError):
            Settings.from_env({"RTCLI_SERVER_TRUSTED_PROXIES": wrong})
