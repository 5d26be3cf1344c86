"""`rtcli tail-events URL` on streams that answer a request, as servers of language models give them."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.support.fakes.liars import head
from tests.support.fakes.scripted_stream import HEAD, Answer, FakeStream, fake_stream, status
from tests.support.processes.rtcli import failed, ok, rtcli

BODY = '{"model": "m", "stream": true}'
CHUNKED = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")


def chunks(*texts: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(text), text) for text in texts)


async def asked(
    home: Path, *arguments: str, answers: tuple[Answer, ...], stdin: str = ""
) -> tuple[subprocess.CompletedProcess[bytes], FakeStream]:
    """Run it on a server with these answers."""
    async with fake_stream(*answers) as server:
        done = await asyncio.to_thread(rtcli, "tail-events", server.url, *arguments, home=home, stdin=stdin)
        return done, server


@pytest.mark.parametrize("how", ["text", "file", "stdin"])
async def test_a_body_is_sent_once_and_its_answer_has_an_end(tmp_path: Path, how: str) -> None:
    (tmp_path / "body.json").write_text(BODY)
    data = {"text": BODY, "file": "@body.json", "stdin": "@-"}[how]
    answer = chunks(b'data: {"n": 1}\n\n', b'data: {"n":', b" 2}\n\n", b"data: [DONE]\n\n")
    done, server = await asked(tmp_path, "-q", "-d", data, "-o", "data", answers=(answer,), stdin=BODY)
    assert ok(done) == '{"n":1}\n{"n":2}\n'
    assert (server.methods, server.bodies) == (["POST"], [BODY.encode()])
    assert server.header("Content-Type") == ["application/json"]
    assert server.header("Accept") == ["text/event-stream"]
    assert server.header("Accept-Encoding") == ["identity"]
    assert server.header("Last-Event-ID") == [None]


async def test_an_orderly_end_is_an_end_and_headers_are_the_users(tmp_path: Path) -> None:
    fields = ("-H", "Accept: application/json, text/event-stream", "-H", "Content-Type: text/x", "-X", "put")
    done, server = await asked(
        tmp_path, "--json", *fields, "-d", "x", answers=(chunks(b"id: 7\ndata: a\n\n", b""),)
    )
    assert (done.returncode, [json.loads(line)["data"] for line in done.stdout.splitlines()]) == (0, ["a"])
    assert server.methods == ["PUT"]
    assert server.header("Accept") == ["application/json, text/event-stream"]
    assert server.header("Content-Type") == ["text/x"]
    done, server = await asked(tmp_path, "-q", "-X", "POST", "-o", "data", answers=(HEAD + b"data: a\n\n",))
    assert (ok(done), server.methods, server.bodies) == ("a\n", ["POST"], [b""])


async def test_once_and_done_end_a_stream_that_was_asked_for_with_get(tmp_path: Path) -> None:
    done, server = await asked(tmp_path, "-q", "--once", "-o", "data", answers=(HEAD + b"data: a\n\n",))
    assert (ok(done), len(server.requests)) == ("a\n", 1)
    done, server = await asked(
        tmp_path, "-q", "-o", "raw", answers=(HEAD + b"data: a\n\ndata: [DONE]\n\ndata: b\n\n",)
    )
    assert (ok(done), len(server.requests)) == (
        "event: message\ndata: a\n\nevent: message\ndata: [DONE]\n\n",
        1,
    )


async def test_a_loss_with_once_is_a_loss(tmp_path: Path) -> None:
    broken = chunks(b"retry: 1\nid: 1\ndata: a\n\n")
    done, server = await asked(
        tmp_path, "--once", "-o", "data", answers=(broken, chunks(b"data: b\n\n", b""))
    )
    assert (done.returncode, done.stdout) == (0, b"a\nb\n")
    assert server.header("Last-Event-ID") == [None, "1"]
    assert b"-- lost (" in done.stderr


@pytest.mark.parametrize(
    ("answer", "shown"), [(chunks(b"data: a\n\n"), b"a\n"), (b"", b"")], ids=["in the middle", "no answer"]
)
async def test_what_was_asked_is_not_asked_again(tmp_path: Path, answer: bytes, shown: bytes) -> None:
    done, server = await asked(
        tmp_path, "-d", BODY, "-o", "data", "--wait", "20s", answers=(answer, HEAD + b"data: b\n\n")
    )
    assert failed(done, 3).endswith(
        " broke off before the end of its answer\n"
        "hint: it is not asked again by itself: each request may do something there\n"
    )
    assert (done.stdout, len(server.requests)) == (shown, 1)


async def test_a_server_that_cannot_now_is_asked_again_with_wait(tmp_path: Path) -> None:
    done, server = await asked(
        tmp_path,
        "-q",
        "-d",
        BODY,
        "-o",
        "data",
        "--wait",
        "20s",
        answers=(status(429), HEAD + b"data: b\n\n"),
    )
    assert (ok(done), server.bodies) == ("b\n", [BODY.encode()] * 2)


async def test_compressed_streams_are_read_as_they_come(tmp_path: Path) -> None:
    for coding, wbits in (("gzip", zlib.MAX_WBITS | 16), ("deflate", zlib.MAX_WBITS)):
        packer = zlib.compressobj(wbits=wbits)
        start = head(Content_Type="text/event-stream", Content_Encoding=coding)
        start += packer.compress(b"data: a\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)

        async def hold_after(writer: asyncio.StreamWriter, start: bytes = start) -> None:
            writer.write(start)
            await writer.wait_closed()

        done, _ = await asked(tmp_path, "-q", "-n", "1", "-o", "data", answers=(hold_after,))
        assert ok(done) == "a\n"
    body = head(Content_Type="text/event-stream", Content_Encoding="br") + gzip.compress(b"data: a\n\n")
    done, _ = await asked(tmp_path, answers=(body,))
    assert "sent a body in the coding 'br', which was not asked for" in done.stderr.decode()
    assert done.returncode == 6


@pytest.mark.parametrize(
    ("answer", "code", "error", "hint"),
    [
        (
            head(400, Content_Type="application/json") + b'{"error":{"message":"no model \\u001b[31m x"}}',
            6,
            "answered 400, no event stream there: no model \\x1b[31m x",
            "is the address right, and the request?",
        ),
        (head(401) + b"", 4, "wants credentials (401)", "credentials go into -H 'Authorization: …'"),
        (
            head(Content_Type="application/json") + b"{}",
            6,
            "/stream sent application/json, not text/event-stream",
            'does the request ask for a stream ("stream": true)?',
        ),
        (head(Content_Type="text/html; charset=x"), 6, "/stream sent text/html, not text", "does the req"),
        (head(), 6, "/stream sent no content type, not text/event-stream", "does the request"),
        (
            status(302, headers="Location: /other\r\n"),
            6,
            "redirects in a way that a request with a body cannot follow",
            "a token is sent to no other server",
        ),
    ],
)
async def test_what_is_no_event_stream(
    tmp_path: Path, answer: bytes, code: int, error: str, hint: str
) -> None:
    done, server = await asked(tmp_path, "-d", BODY, answers=(answer,))
    said = failed(done, code).splitlines()[-2:]
    assert error in said[0]
    assert said[1].startswith(f"hint: {hint}")
    assert len(server.requests) == 1


BAD_OPTIONS: list[tuple[tuple[str, ...], str, str]] = [
    (("http://h/x", "-d", "@none"), "--data @none: no such file or directory", "--data '{…}'"),
    (("http://h/x", "-X", "P OST"), "--method 'P OST' is none", "--method POST"),
    (("http://h/x", "-d", "x", "--state", "s"), "the answer to a POST is not resumed", "leave out --st"),
    (("http://h/x", "-d", "x", "--last-id", "7"), "the answer to a POST is not resumed", "leave out"),
    (("-r", "r", "-d", "x"), "--method and --data are for other servers", "our own: rtcli tail-events"),
    (("-r", "r", "-X", "POST"), "--method and --data are for other servers", "our own: rtcli tail"),
]


def test_bad_options(tmp_path: Path) -> None:
    for arguments, error, hint in BAD_OPTIONS:
        result = rtcli("tail-events", *arguments, home=tmp_path)
        said = failed(result, 2).splitlines()
        assert said[0].startswith(f"error: {error}")
        assert said[1].startswith(f"hint: {hint}")
    assert not (tmp_path / "s").exists()


def test_no_token_of_ours_goes_to_another_server(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a.b.c")
    (tmp_path / "t").chmod(0o600)

    async def ask() -> list[str | None]:
        done, server = await asked(tmp_path, "-q", "--once", answers=(HEAD + b"data: a\n\n",))
        assert done.returncode == 0
        return list(server.header("Authorization"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTCLI_TOKEN_FILE", str(tmp_path / "t"))
        patch.setenv("RTCLI_TOKEN", "a.b.c")
        assert asyncio.run(ask()) == [None]
