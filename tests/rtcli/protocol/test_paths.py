"""The paths are those of docs/protocol.md, and the page's JavaScript has the same as a literal of its own."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol import paths
from rtcli.protocol.tokens import is_valid_user_id
from tests.support.paths import ROOT
from tests.support.protocol.room_names import room_names, spellings

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
CLIENT = (ROOT / "server" / "rtcli_server" / "web" / "rtclient.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in vars(paths) if name.endswith("_PATH")])
def test_each_path_is_documented(name: str) -> None:
    path = getattr(paths, name)
    assert path.startswith(f"{paths.API_PREFIX}/")
    assert path in PAGE or path.removeprefix(paths.API_PREFIX) in PAGE


def test_the_page_uses_the_same() -> None:
    assert f'"{paths.WEBSOCKET_V2_PATH}"' in CLIENT
    assert f'"{paths.EVENT_STREAM_PATH}"' in CLIENT


def test_a_room_is_percent_encoded() -> None:
    assert paths.room_messages_path("a/b ü") == "/api/v1/rooms/a%2Fb%20%C3%BC/messages"


@given(room_names.flatmap(lambda name: st.tuples(st.just(name), spellings(name))))
def test_every_spelling_of_a_room_has_the_path_of_its_nfc(pair: tuple[str, str]) -> None:
    name, spelling = pair
    path = paths.room_messages_path(spelling)
    assert path == paths.room_messages_path(name)
    before, segment, after = path.rsplit("/", 2)
    assert (before, unquote(segment, errors="strict"), after) == (paths.ROOMS_PATH, name, "messages")
    assert urlsplit(path).path == path


user_ids = (st.sampled_from(("...", "../x", "a/..", "%2e%2e")) | st.text(min_size=1)).filter(is_valid_user_id)


@given(room_names, user_ids)
def test_no_client_reads_another_path(room: str, user_id: str) -> None:
    """Clients take `.` and `..` out of a path, and most of them `%2e` too (url.spec.whatwg.org)."""
    for path in (paths.room_messages_path(room), paths.user_connections_path(user_id)):
        assert httpx.URL(f"http://a{path}").raw_path.decode() == path
        assert not {".", ".."} & set(map(unquote, path.split("/")))


@pytest.mark.parametrize(
    ("url", "events", "cursor", "expected"),
    [
        ("ws://a/b", False, "", "ws://a/b?events=0"),
        ("ws://a/b?c=d", True, "", "ws://a/b?c=d&events=1"),
        (
            "ws://a/b",
            True,
            "~me=aaaa-1,a%20b=aaaa-2",
            "ws://a/b?events=1&last_event_id=~me%3Daaaa-1%2Ca%2520b%3Daaaa-2",
        ),
    ],
)
def test_a_websocket_says_what_it_wants_of_events(url: str, events: bool, cursor: str, expected: str) -> None:
    assert paths.websocket_address(url, events=events, cursor=cursor) == expected
