"""Listening sockets: who may share a port, and what is said when it is taken."""

from __future__ import annotations

import socket

import pytest

from rtcli_server.process.listeners import ListenError, base_url, open_listeners, reserved_port
from rtcli_server.settings import Settings

SECRET = "s" * 32
ANY_PORT = Settings(port=0, secrets=(SECRET,))


def settings_for(port: int) -> Settings:
    return ANY_PORT.model_copy(update={"port": port})


def test_a_port_that_is_taken_is_refused() -> None:
    [held] = open_listeners(ANY_PORT, None)
    with held:
        port = held.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: ") as refused:
            next(open_listeners(settings_for(port), None))
        assert refused.value.in_use


def test_an_address_that_is_not_here_is_refused_for_another_reason() -> None:
    with pytest.raises(ListenError, match="cannot listen on 192") as refused:
        next(open_listeners(ANY_PORT.model_copy(update={"host": "192.0.2.1"}), None))
    assert not refused.value.in_use


def test_workers_share_a_reserved_port_and_have_one_of_their_own() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    with reserved_port(ANY_PORT) as port:
        settings = settings_for(port).model_copy(update={"worker_port": own})
        first, first_own = open_listeners(settings, 1)
        second = next(open_listeners(settings, 2))
        with first, first_own, second:
            ports = [listener.getsockname()[1] for listener in (first, second, first_own)]
            assert ports == [port, port, own]


def test_a_second_deployment_cannot_reserve_the_port() -> None:
    with reserved_port(ANY_PORT) as port, pytest.raises(ListenError), reserved_port(settings_for(port)):
        pass
    with reserved_port(settings_for(port)) as again:
        assert again == port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - read, not bound
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("example.org", "http://example.org:80"),
    ],
)
def test_the_url_is_one_that_this_machine_can_reach(host: str, url: str) -> None:
    assert base_url(ANY_PORT.model_copy(update={"host": host}), 80) == url
