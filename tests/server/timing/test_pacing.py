from __future__ import annotations

from rtcli_server.timing.pacing import batched


def test_the_last_batch_may_be_shorter() -> None:
    assert list(batched("abcdefg", 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert list(batched("abc", 3)) == [["a", "b", "c"]]
    assert list(batched([], 3)) == []
