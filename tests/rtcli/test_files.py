"""Files are written whole, with a mode, and nothing but regular files is written, replaced or removed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtcli import files
from rtcli.files import PRIVATE, SHARED, NotRegularError, OwnFile
from tests.support.paths import ROOT
from tests.support.special_files import SPECIAL, Make, kinds, make_fifo

NOBODY = 65_534


UMASKS = [0o000, 0o022, 0o077, 0o277, 0o777]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def without_rights() -> Iterator[None]:
    """Where root runs the tests, be somebody to whom rights apply."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("make", SPECIAL)
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "it"
    make(path)
    before = kinds(tmp_path)
    for attempt in (
        lambda: files.write_whole(path, b"x"),
        lambda: files.write_whole(path, b"x", PRIVATE),
        lambda: files.remove_old(path),
        lambda: files.open_or_make(path),
        lambda: OwnFile(path),
    ):
        with pytest.raises(NotRegularError, match="not a regular file"):
            attempt()
    with pytest.raises(FileExistsError):
        files.write_new(path, b"x")
    assert kinds(tmp_path) == before


@pytest.mark.parametrize("mask", UMASKS)
def test_private_is_private_and_the_rest_follows_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        files.write_whole(tmp_path / "private", b"x", PRIVATE)
        files.write_new(tmp_path / "new private", b"x", PRIVATE)
        os.close(files.open_or_make(tmp_path / "private lock", PRIVATE))
        files.write_whole(tmp_path / "shared", b"x")
        files.write_new(tmp_path / "new shared", b"x")
    assert {name: oct(mode(tmp_path / name)) for name in kinds(tmp_path)} == {
        "private": oct(PRIVATE),
        "new private": oct(PRIVATE),
        "private lock": oct(PRIVATE),
        "shared": oct(SHARED & ~mask),
        "new shared": oct(SHARED & ~mask),
    }


def test_a_private_file_is_private_although_the_old_one_was_not(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    path.chmod(0o644)
    files.write_whole(path, b"new", PRIVATE)
    assert (path.read_bytes(), mode(path)) == (b"new", PRIVATE)


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "target"
    link.symlink_to("there/target")
    files.write_whole(link, b"first")  # a dangling one: its target is made
    files.write_whole(link, b"second")
    assert link.is_symlink()
    assert target.read_bytes() == b"second"
    assert kinds(tmp_path / "there").keys() == {"target"}
    files.remove_old(link)
    assert kinds(tmp_path / "there") == {}
    assert link.is_symlink()


def test_a_new_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(FileExistsError):
        files.write_new(tmp_path / "link", b"x")
    assert not (tmp_path / "target").exists()


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        files.write_whole(tmp_path / "a", b"x")


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_directory_that_cannot_be_written_to_is_an_error_and_nothing_changes(
    tmp_path: Path, old: bytes | None
) -> None:
    directory = tmp_path / "read only"
    directory.mkdir()
    path = directory / "file"
    if old is not None:
        path.write_bytes(old)
    directory.chmod(0o555)
    for parent in (*tmp_path.parents[:3], tmp_path):
        parent.chmod(parent.stat().st_mode | 0o011)
    with without_rights(), pytest.raises(PermissionError):
        files.write_whole(path, b"new")
    assert (path.read_bytes() if path.exists() else None) == old
    assert len(kinds(directory)) == (old is not None)


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".a[1].json.0123abcd.part").write_bytes(b"half")
    others = [".a[1].json.x.part", ".b.json.0123abcd.part", "a[1].json"]
    for name in others:
        (tmp_path / name).touch()
    make_fifo(tmp_path / ".a[1].json.ffffffff.part")
    files.remove_parts(tmp_path / "a[1].json")
    assert sorted(kinds(tmp_path)) == sorted([*others, ".a[1].json.ffffffff.part"])


def test_what_another_user_put_beside_it_stays_and_is_no_error(tmp_path: Path) -> None:
    """As in a directory that everybody may write to, where only the owner of a file may remove it."""
    directory = tmp_path / "everybody's"
    directory.mkdir()
    (directory / ".a.0123abcd.part").touch()
    directory.chmod(0o555)
    for parent in (*tmp_path.parents[:3], tmp_path):
        parent.chmod(parent.stat().st_mode | 0o011)
    with without_rights():
        files.remove_parts(directory / "a")
    assert kinds(directory).keys() == {".a.0123abcd.part"}


def test_nothing_is_left_when_the_place_is_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    written = files.write_new

    def write_and_take(part: Path, data: bytes, mode_: int) -> os.stat_result:
        path.mkdir()
        (path / "something").touch()
        return written(part, data, mode_)

    monkeypatch.setattr(files, "write_new", write_and_take)
    with pytest.raises(IsADirectoryError):
        files.write_whole(path, b"x")
    assert kinds(tmp_path).keys() == {"file"}


# -- a file for as long as the process lives ---------------------------------------------------------------


def test_an_own_file_is_removed_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    own = OwnFile(tmp_path / "link")
    own.write("http://127.0.0.1:8000\n")
    own.write("http://127.0.0.1:8001\n")
    assert (tmp_path / "target").read_text() == "http://127.0.0.1:8001\n"
    own.remove()
    own.remove()
    assert kinds(tmp_path).keys() == {"link"}


def test_the_file_of_another_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    healthy, failed = OwnFile(path), OwnFile(path)
    healthy.write("of the first")
    failed.remove()  # it never came to write
    assert path.read_text() == "of the first"
    failed.write("of the second")
    healthy.remove()
    assert path.read_text() == "of the second"
    failed.remove()
    assert not path.exists()


@pytest.mark.parametrize("make", SPECIAL)
def test_what_was_put_in_its_place_is_not_removed(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "ready"
    own = OwnFile(path)
    own.write("x")
    path.unlink()
    make(path)
    before = kinds(tmp_path)
    own.remove()
    assert kinds(tmp_path) == before


# -- all that writes goes through here ---------------------------------------------------------------------

WRITES = re.compile(r"""\.write_(?:text|bytes)\(|O_CREAT|O_WRONLY|mkstemp|NamedTemporaryFile|os\.replace
    |open\([^)\n]*["'][wax]b?\+?["']|\.touch\(""", re.VERBOSE)  # fmt: skip
ALLOWED = {
    "files.py": "this is the one",
    "terminal/console.py": "writes to stdout and stderr, which are open",
    "apps/ws/recording.py": "appends to a new file, made with O_EXCL",
    "load/reporters/github.py": "appends to a file that `place_of` has looked at",
}


def test_nothing_else_in_the_commands_writes_files() -> None:
    package = ROOT / "rtcli"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if WRITES.search(line) and not re.search(r"console\.write_", line)
    }
    assert found == ALLOWED.keys()
