"""The chat page and the browser client, in Chromium, against a real server."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from rtcli.protocol.tokens import create_token
from rtcli_server.api.page import FILES
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.clients.pages import eventually
from tests.support.servers.server_process import SECRET, ServerProcess

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e*_{{7*7}}"


FOLLOW_ROOM = """async ([token, room]) => {
  const { followEvents } = await import("/rtclient.js");
  return await new Promise((resolve) => {
    const stop = followEvents({ token, rooms: [room], onEvent({ event, data }) {
      if (event !== "ready") return;
      stop();
      resolve({ channels: Object.keys(data.channels) });
    } });
  });
}"""


def token(name: str, sub: str) -> str:
    return create_token(SECRET, sub=sub, name=name, now=time.time())


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with running_server(Settings(port=0, secrets=(SECRET,))) as server:
        yield server.url


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """Messages in the console of the browser: policy violations, failed requests."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


@pytest.fixture
async def other(page: Page) -> Page:
    """The page of another user, in the same browser."""
    browser = page.context.browser
    assert browser is not None
    return await browser.new_page()


async def open_chat(page: Page, url: str, name: str, sub: str) -> None:
    await page.goto(f"{url}/#token={token(name, sub)}&room=general")
    await page.wait_for_selector('#state[data-state="open"]')
    await page.wait_for_selector(f'#members li:has-text("{name}")')


async def say(page: Page, text: str) -> None:
    await page.fill("#content", text)
    await page.press("#content", "Enter")


async def texts(page: Page) -> list[str]:
    return await page.locator("#messages .message:not(.unsent) p").all_text_contents()


async def test_the_files_and_their_headers(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for path, (_, media_type) in FILES.items():
            answer = await http.get(path)
            assert answer.status_code == httpx.codes.OK
            assert answer.headers["content-type"] == media_type
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert (await http.head(path)).status_code == httpx.codes.OK
        assert (await http.get("/page.html")).status_code == httpx.codes.NOT_FOUND
        page = (await http.get("/")).text
        assert "<script>" not in page
        assert "style=" not in page


async def test_two_people_talk(url: str, page: Page, other: Page, complaints: list[str]) -> None:
    await open_chat(page, url, "Alice", "alice")
    await open_chat(other, url, "Bob", "7")
    await page.wait_for_selector('#members li:has-text("Bob")')
    await page.wait_for_selector('.notice:has-text("Bob joined")')
    assert await page.text_content("#member-count") == "2"
    assert "token" not in page.url

    await other.type("#content", "h")
    await page.wait_for_selector('#typing:has-text("Bob typing…")')
    await say(other, "hello\nAlice")
    await page.wait_for_selector('.message p:has-text("hello")')
    assert await page.text_content("#typing") == ""
    await say(page, HOSTILE)
    await other.wait_for_selector('.message p:has-text("onerror")')
    await page.wait_for_selector('.own:not(.unsent) p:has-text("onerror")')
    assert await texts(page) == await texts(other) == ["hello\nAlice", HOSTILE]
    assert await other.locator(".message .who").all_text_contents() == ["Bob", "Alice"]
    assert await page.locator("#messages img, #messages script").count() == 0

    await other.close()
    await page.wait_for_selector('.notice:has-text("Bob left")', timeout=20_000)
    assert complaints == []


async def test_rooms_are_apart_and_history_comes(
    url: str, page: Page, other: Page, complaints: list[str]
) -> None:
    await open_chat(page, url, "Alice", "alice")
    await say(page, "in general")
    await page.fill("#room", "café/☕")
    await page.press("#room", "Enter")
    await page.wait_for_selector("#messages:not(:has(.message))")
    await say(page, "in the café")
    await page.wait_for_selector('.own:not(.unsent) p:has-text("café")')
    assert await texts(page) == ["in the café"]

    await open_chat(other, url, "Bob", "bob")
    await other.wait_for_selector('.message p:has-text("in general")')
    await say(other, "you there?")
    await page.wait_for_selector('#rooms button[data-unread="1"]:has-text("general")')
    await page.click('#rooms button:has-text("general")')
    assert await texts(page) == ["in general", "you there?"]
    assert complaints == []


async def test_a_room_that_people_name_in_another_spelling(
    url: str, page: Page, other: Page, complaints: list[str]
) -> None:
    nfc, nfd = "Café, 100 % #1 = x", "Cafe\u0301, 100 % #1 = x"
    for who, name, spelling in ((page, "Alice", nfd), (other, "Bob", nfc)):
        await open_chat(who, url, name, name)
        await who.fill("#room", spelling)
        await who.press("#room", "Enter")
        await who.wait_for_selector(f'#rooms button[aria-current="true"]:has-text("{nfc}")')
        await who.wait_for_selector(f'#members li:has-text("{name}")')
    await page.wait_for_selector('#members li:has-text("Bob")')
    await say(page, "in the café")
    await other.wait_for_selector('.message p:has-text("in the café")')
    await say(other, "me too")
    await page.wait_for_selector('.message p:has-text("me too")')
    assert await texts(page) == await texts(other) == ["in the café", "me too"]

    found = await page.evaluate(FOLLOW_ROOM, [token("Alice", "Alice"), nfd])
    assert found == {"channels": ["Caf%C3%A9%2C%20100%20%25%20%231%20%3D%20x", "~me", "~all"]}
    assert complaints == []


async def test_signing_in_by_hand(url: str, page: Page) -> None:
    await page.goto(url)
    await page.fill("#token", "no token at all")
    await page.click("#sign-in-form button")
    await page.wait_for_selector('#sign-in-problem:has-text("invalid_token")')
    await page.fill("#token", token("Alice", "alice"))
    await page.click("#sign-in-form button")
    await page.wait_for_selector('#state[data-state="open"]')
    assert await page.text_content("#me") == "you are alice"

    await page.reload()
    await page.wait_for_selector('#state[data-state="open"]')
    await page.click("#sign-out")
    await page.wait_for_selector("#sign-in:not([hidden])")
    await page.reload()
    assert await page.is_visible("#sign-in")


async def test_a_room_that_is_forbidden(url: str, page: Page) -> None:
    grants = [{"match": "general", "can": ["join", "publish"]}]
    limited = create_token(SECRET, sub="eve", name="Eve", now=time.time(), rooms=grants)  # type: ignore[arg-type]
    await page.goto(f"{url}/#token={limited}")
    await page.wait_for_selector('#members li:has-text("Eve")')
    await page.fill("#room", "secret")
    await page.press("#room", "Enter")
    await page.wait_for_selector('.notice:has-text("forbidden")')
    assert await page.locator("#rooms button").all_text_contents() == ["general"]


CLIENT = """
async (token) => {
  const { RealtimeClient } = await import("/rtclient.js");
  window.got = []; window.states = []; window.acks = []; window.gaps = []; window.joins = 0;
  window.client = new RealtimeClient({ token });
  client.addEventListener("message", ({ detail }) => got.push(detail.content));
  client.addEventListener("state", ({ detail }) => states.push(detail.state));
  client.addEventListener("gap", ({ detail }) => gaps.push(detail.reason));
  client.addEventListener("joined", () => joins++);
  window.say = (text) => client.send("general", text).then((ack) => acks.push(ack.offset));
  client.join("general");
  client.connect();
}
"""


@pytest.mark.timeout(120)
async def test_the_client_comes_back_resumes_and_repeats_nothing(tmp_path: Path, page: Page) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path / 'rt.db'}")
    await server.start()
    try:
        await page.goto(server.url)
        await page.evaluate(CLIENT, token("Alice", "alice"))
        await eventually(page, "window.joins === 1")
        expected = []
        for round_ in range(2, 4):
            for number in range(5):
                expected.append(f"{round_}-{number}")
                await page.evaluate("(text) => { say(text); }", expected[-1])
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await eventually(page, "window.client.state === 'waiting'")
            expected.append(f"{round_} offline")
            await page.evaluate("(text) => { say(text); }", expected[-1])
            await server.start()
            await eventually(page, f"window.joins === {round_}")
            await eventually(page, f"window.acks.length === {len(expected)}")
        await eventually(page, f"window.got.length >= {len(expected)}")
        assert sorted(await page.evaluate("window.got")) == sorted(expected)
        assert await page.evaluate("window.gaps") == []
        assert sorted(await page.evaluate("window.acks")) == list(range(1, len(expected) + 1))
    finally:
        await asyncio.to_thread(server.stop, signal.SIGTERM)


@pytest.mark.timeout(120)
async def test_a_log_that_began_anew_is_told(tmp_path: Path, page: Page) -> None:
    server = ServerProcess(tmp_path, "memory:")
    await server.start()
    try:
        await page.goto(server.url)
        await page.evaluate(CLIENT, token("Alice", "alice"))
        await eventually(page, "window.joins === 1")
        await page.evaluate("say('before')")
        await eventually(page, "window.got.length === 1")  # a message may come after its acknowledgement
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        await server.start()
        await eventually(page, "window.joins === 2")
        assert await page.evaluate("window.gaps") == ["epoch_changed"]
        await page.evaluate("say('after')")
        await eventually(page, "window.got.length === 2")
        assert await page.evaluate("window.got") == ["before", "after"]
    finally:
        await asyncio.to_thread(server.stop, signal.SIGTERM)


FOLLOW = """
async (token) => {
  const { followEvents } = await import("/rtclient.js");
  window.got = [];
  window.end = followEvents({ token, rooms: ["general"], onEvent: (event) => got.push(event) });
}
"""


async def test_following_the_event_stream(url: str, page: Page) -> None:
    bearer = token("Alice", "alice")
    await page.goto(url)
    await page.evaluate(FOLLOW, bearer)
    await eventually(page, "window.got.length === 1")
    assert await page.evaluate("window.got[0].event") == "ready"
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {bearer}"}) as http:
        answer = await http.post("/api/v1/rooms/general/messages", json={"content": "hi"})
    await eventually(page, "window.got.length === 2")
    event = await page.evaluate("window.got[1]")
    assert (event["event"], event["data"]["content"]) == ("new_message", "hi")
    assert event["id"].startswith(f"general={answer.json()['position']},~me=")
    await page.evaluate("window.end()")
