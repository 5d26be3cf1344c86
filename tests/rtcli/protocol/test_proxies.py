from __future__ import annotations

import pytest

from rtcli.protocol.proxies import Proxy, ProxyURLError, choose_proxy, is_loopback

P = "http://p:1"


def chosen(url: tuple[str, str, int], env: dict[str, str], given: str | None = None) -> str | None:
    proxy = choose_proxy(*url, env, given)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("scheme", "variable", "counts"),
    [
        (scheme, variable, variable in names)
        for scheme, names in {
            "http": ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
            "ws": ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
            "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
            "wss": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
        }.items()
        for variable in (
            "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
            "ws_proxy", "WSS_PROXY", "socks_proxy",
        )
    ],
)  # fmt: skip
def test_which_variable_counts_for_which_scheme(scheme: str, variable: str, counts: bool) -> None:
    proxy = choose_proxy(scheme, "rt.example.org", 80, {variable: P})
    assert proxy == (Proxy(P, "p:1", variable) if counts else None)


def test_small_letters_go_first_and_all_proxy_last_and_empty_is_none() -> None:
    server = ("https", "rt.example.org", 443)
    env = {"ALL_PROXY": "http://d:4", "all_proxy": "http://c:3", "HTTPS_PROXY": "http://b:2"}
    assert chosen(server, {**env, "https_proxy": "http://a:1"}) == "http://a:1"
    assert chosen(server, {**env, "https_proxy": " "}) == "http://b:2"
    assert chosen(server, {**env, "HTTPS_PROXY": ""}) == "http://c:3"
    assert chosen(server, {}) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "direct"),
    [
        ("*", "rt.example.org", 443, True),
        ("rt.example.org", "rt.example.org", 443, True),
        ("RT.example.org", "rt.EXAMPLE.org", 443, True),
        ("rt.example.org", "rt.example.org.", 443, True),
        ("example.org", "rt.example.org", 443, True),
        ("example.org", "notexample.org", 443, False),
        (".example.org", "rt.example.org", 443, True),
        (".example.org", "example.org", 443, False),
        ("*.example.org", "rt.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("rt.example.org:443", "rt.example.org", 443, True),
        ("rt.example.org:8443", "rt.example.org", 443, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("10.1.2.3:81", "10.1.2.3", 80, False),
        ("10.1.0.0/16", "10.1.2.3", 80, True),
        ("10.1.0.0/16:80", "10.1.2.3", 80, True),
        ("10.1.2.3/16", "10.1.9.9", 80, True),
        ("10.2.0.0/16", "10.1.2.3", 80, False),
        ("10.1.0.0/16", "rt.example.org", 80, False),
        ("10.1.0.0/99", "10.1.2.3", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("fd12::1", "fd12:0::1", 80, True),
        ("[fd12::1]", "fd12::1", 80, True),
        ("[fd12::1]:80", "fd12::1", 80, True),
        ("[fd12::1]:81", "fd12::1", 80, False),
        ("other.org, example.org", "rt.example.org", 443, True),
        ("other.org  example.org", "rt.example.org", 443, True),
        (",, ", "rt.example.org", 443, False),
        ("[", "rt.example.org", 443, False),
    ],
)
def test_who_is_excepted(entry: str, host: str, port: int, direct: bool) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        env = {"ALL_PROXY": P, variable: entry}
        assert (choose_proxy("https", host, port, env) is None) == direct


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_reached_directly_unless_a_proxy_is_given(host: str) -> None:
    assert is_loopback(host)
    assert choose_proxy("http", host, 80, {"http_proxy": P}) is None
    assert chosen(("http", host, 80), {"NO_PROXY": "*"}, P) == P


def test_none_is_none() -> None:
    assert choose_proxy("http", "rt.example.org", 80, {"http_proxy": P}, "none") is None


@pytest.mark.parametrize(
    ("text", "url", "where"),
    [
        ("p:3128", "http://p:3128", "p:3128"),
        ("http://p", "http://p:80", "p:80"),
        ("https://p/", "https://p:443", "p:443"),
        ("http://[fd12::1]:8", "http://[fd12::1]:8", "[fd12::1]:8"),
        ("http://u:p%40w@p:1", "http://u:p%40w@p:1", "p:1"),
        ("http://u@p:1", "http://u:@p:1", "p:1"),
    ],
)
def test_forms_of_a_proxy(text: str, url: str, where: str) -> None:
    proxy = choose_proxy("http", "rt.example.org", 80, {"HTTP_PROXY": f" {text} "})
    assert proxy == Proxy(url, where, "HTTP_PROXY")
    assert str(proxy) == f"the proxy {where} (HTTP_PROXY)"
    assert "p%40w" not in repr(proxy)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("socks5h://p:1", "HTTP_PROXY 'socks5h://p:1': SOCKS proxies are not supported, only http:// and https://"),
        ("ftp://p:1", "HTTP_PROXY 'ftp://p:1': ftp:// is no proxy's scheme, but http:// and https:// are"),
        ("http://", "HTTP_PROXY 'http://': it has no host, or one that is none"),
        ("http://p:0", "HTTP_PROXY 'http://p:0': it has no host, or one that is none"),
        ("http://p:99999", "HTTP_PROXY 'http://p:99999': it is no URL"),
        ("http://p:1/path", "HTTP_PROXY 'http://p:1/path': a proxy's URL has no path"),
        ("http://u:s3cret@p:1/x", "HTTP_PROXY 'http://***@p:1/x': a proxy's URL has no path"),
        (
            "http://u:s3@cret@p:1",
            "HTTP_PROXY 'http://***@p:1': write special characters of user and password as %XX",
        ),
        (
            "http://u:s3cret\x01@p:1",
            "HTTP_PROXY 'http://***@p:1': write special characters of user and password as %XX",
        ),
        ("http://u:s3/cret@p:1", "HTTP_PROXY '***': it is no URL"),
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_named_without_its_password(text: str, says: str) -> None:
    with pytest.raises(ProxyURLError) as caught:
        choose_proxy("http", "rt.example.org", 80, {"HTTP_PROXY": text})
    assert str(caught.value) == says
    assert "cret" not in str(caught.value)
