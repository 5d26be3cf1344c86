"""The directory of `--out`: whole files or none, and one run at a time."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtcli.errors import CliError
from rtcli.load.reporters.output_directory import LOCK, OutputError, locked_directory, write_whole

NAMES = ("summary.json", "report.html")


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def content(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def warn(text: str) -> None:
    pytest.fail(text)


def test_a_file_is_there_as_a_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_whole(path, b"first")
    with files_limited_to(1000), pytest.raises(OutputError, match=r"summary\.json: file too large"):
        write_whole(path, b"x" * 5000)
    assert path.read_bytes() == b"first"
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert content(tmp_path) == ["summary.json"]


def test_nothing_of_an_earlier_run_stays(tmp_path: Path) -> None:
    out = tmp_path / "a" / "results"
    with locked_directory(out, NAMES, warn=warn):
        write_whole(out / "summary.json", b"of the first")
        (out / ".report.html.0123abcd.part").write_bytes(b"half of a")
        (out / "notes.txt").write_bytes(b"of a person")
    assert content(out) == [".report.html.0123abcd.part", "notes.txt", "summary.json"]
    with locked_directory(out, NAMES, warn=warn):
        assert content(out) == [LOCK, "notes.txt"]
    assert content(out) == ["notes.txt"]


def test_a_second_run_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    with locked_directory(tmp_path, NAMES, warn=warn):
        write_whole(tmp_path / "summary.json", b"mine")
        with (
            pytest.raises(CliError, match=rf"another run .* \(process {os.getpid()}\)") as refused,
            locked_directory(tmp_path, NAMES, warn=warn),
        ):
            pass
        assert (tmp_path / "summary.json").read_bytes() == b"mine"
    assert refused.value.exit_code == 2
    with locked_directory(tmp_path, NAMES, warn=warn):
        pass


def test_a_lock_that_a_killed_run_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("12345\n")
    with locked_directory(tmp_path, NAMES, warn=warn):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    assert content(tmp_path) == []


def test_a_directory_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(CliError, match="is a directory"), locked_directory(tmp_path, NAMES, warn=warn):
        pass
