from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.content_coding import PIECE_BYTES, ContentCodingError, ContentDecoder
from tests.support.fakes.liars import BLOCK_BYTES, bomb

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    " X-GZIP ": gzip.compress,
    "deflate": zlib.compress,
}


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=300), st.integers(1, 1_000), st.data())
def test_what_was_coded_comes_back(coding: str, part: bytes, times: int, data: st.DataObject) -> None:
    """However it is cut."""
    body = CODINGS[coding](part * times)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    decoder = ContentDecoder(coding)
    pieces = [
        piece
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)
        for piece in decoder.feed(body[start:end])
    ]
    assert b"".join(pieces) == part * times
    assert all(pieces)


def test_what_comes_is_there_before_the_rest() -> None:
    """A compressed event stream flushes after each event."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    decoder = ContentDecoder("gzip")
    for number in range(3):
        data = packer.compress(b"data: %d\n\n" % number) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(decoder.feed(data)) == b"data: %d\n\n" % number


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", zlib.MAX_WBITS | 16), ("deflate", zlib.MAX_WBITS)])
def test_a_bomb_is_decoded_in_small_pieces(coding: str, wbits: int) -> None:
    start, block = bomb(wbits=wbits)
    decoder = ContentDecoder(coding)
    tracemalloc.start()
    try:
        size = sum(map(len, decoder.feed(start + block * 99)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 100 * BLOCK_BYTES
    assert peak < 20 * PIECE_BYTES


def test_what_follows_the_end_is_dropped() -> None:
    decoder = ContentDecoder("gzip")
    assert b"".join(decoder.feed(gzip.compress(b"a") + b"b" * 100)) == b"a"
    assert list(decoder.feed(gzip.compress(b"c"))) == []


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x" * 1_000])
def test_a_coding_that_was_not_asked_for(coding: str) -> None:
    with pytest.raises(ContentCodingError, match="not asked for") as caught:
        ContentDecoder(coding)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_what_its_header_says(coding: str) -> None:
    with pytest.raises(ContentCodingError, match=f"not {coding}"):
        list(ContentDecoder(coding).feed(b"{}" * 100))
