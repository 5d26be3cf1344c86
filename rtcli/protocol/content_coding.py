"""The body of an HTTP answer without its content coding, in small pieces (RFC 9110, section 8.4).

A megabyte can stand for a gigabyte, so nothing is decompressed as a whole: whoever reads the pieces counts
their bytes, and stops.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

ACCEPTED = "gzip, deflate"  # for Accept-Encoding
PIECE_BYTES = 65_536
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class ContentCodingError(Exception):
    """A body that is not coded as its header says, or in a way that was not asked for."""


class ContentDecoder:
    """Decodes the body of one answer. `coding` is its header Content-Encoding, "" for none.

    Raises ContentCodingError for a coding that is not in `ACCEPTED`, and for several at once.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        self._inflater: zlib._Decompress | None = None
        if self._coding in _WINDOWS:
            self._inflater = zlib.decompressobj(_WINDOWS[self._coding])
        elif self._coding not in {"", "identity"}:
            raise ContentCodingError(f"a body in the coding {self._coding[:40]!r}, which was not asked for")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes: in pieces of at most `PIECE_BYTES`; without a coding, as they are.

        What follows the end of compressed data is dropped. Raises ContentCodingError.
        """
        if self._inflater is None:
            if data:
                yield data
            return
        while not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise ContentCodingError(f"a body that is not {self._coding}") from None
            data = self._inflater.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < PIECE_BYTES:
                return
