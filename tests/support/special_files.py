"""What a path may name that is no regular file."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], None]


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_directory(path: Path) -> None:
    path.mkdir()


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("the fifo"))
    path.symlink_to("the fifo")


def make_link_to_directory(path: Path) -> None:
    path.with_name("the directory").mkdir()
    path.symlink_to("the directory")


SPECIAL = [make_fifo, make_socket, make_directory, make_link_to_fifo, make_link_to_directory]


def kinds(directory: Path) -> dict[str, int]:
    """The names in a directory, and what each is."""
    return {path.name: stat.S_IFMT(path.lstat().st_mode) for path in directory.iterdir()}
