"""The servers that are measured: how each is started and spoken to, and which version it is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.install import HERE, NGINX, NODE, binary

ROOT = HERE.parent
SERVERS = HERE / "servers"
Command = Callable[[int, Path], list[str]]
"""Argument vector for a free port and an empty directory of the server's own."""


@dataclass(frozen=True)
class Peer:
    """One server under test: name, dialect, how it is started, and the file that proves it installed.

    With several `instances`, the members are spread over them.
    """

    name: str
    dialect: str
    command: Command
    needs: Path
    ready: str = "/ready"
    instances: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


def naive(port: int, folder: Path) -> list[str]:
    """The naive FastAPI server under uvicorn with uvloop and httptools, one process."""
    del folder
    options = ["--port", str(port), "--log-level", "warning", "--no-access-log", "--backlog", "4096"]
    return [sys.executable, "-m", "uvicorn", "benchmarks.servers.naive:app", *options]


def node(program: str) -> Command:
    """A program of `servers/` under Node."""
    return lambda port, _folder: [str(binary("node")), str(SERVERS / program), str(port)]


def bun(port: int, folder: Path) -> list[str]:
    """The chat on Bun."""
    del folder
    return [str(binary("bun")), str(SERVERS / "bun_chat.mjs"), str(port)]


def nchan(port: int, folder: Path) -> list[str]:
    """Nginx with the Nchan module, everything it writes inside `folder`."""
    module = NGINX / "usr/lib/nginx/modules/ngx_nchan_module.so"
    text = (SERVERS / "nginx.conf").read_text()
    for placeholder, value in (("MODULE", str(module)), ("HERE", str(folder)), ("PORT", str(port))):
        text = text.replace(f"@{placeholder}@", value)
    (folder / "nginx.conf").write_text(text)
    return [
        str(binary("nginx")),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        str(folder / "error.log"),
    ]


def rtcli(store: str = "memory:") -> Command:
    """This project's server. Limits per user and address are lifted: the load comes from one.

    The rate limit stays on, high enough not to refuse anything, so that its work is in the figures.
    """

    def command(port: int, folder: Path) -> list[str]:
        secret = folder / "secret"
        secret.write_text(os.environ["BENCH_SECRET"])
        secret.chmod(0o600)
        place = store.replace("@HERE@", str(folder)).replace("@REDIS@", os.environ.get("BENCH_REDIS", ""))
        where = ["--port", str(port), "--store", place, "--secret-file", str(secret)]
        limits = ["--rate-limit", "1000000/s", "--user-connections", "off", "--address-connections", "off"]
        return [sys.executable, "-m", "rtcli", "serve", *where, *limits]

    return command


def numbered(port: int, folder: Path) -> list[str]:
    """The server whose frames differ for each receiver."""
    del folder
    return [sys.executable, "-m", "benchmarks.servers.numbered", str(port)]


HERE_ALWAYS = Path(sys.executable)
REDIS = Path(shutil.which("redis-server") or "redis-server")
ON_REDIS = "redis://127.0.0.1:@REDIS@/0"
PORTABLE = {"RTCLI_SERVER_FAST_WEBSOCKETS": "false"}

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("naive", "plain", naive, HERE_ALWAYS),
        Peer("numbered", "plain", numbered, HERE_ALWAYS),
        Peer("Socket.IO", "socketio", node("socketio_chat.mjs"), NODE / "node_modules/socket.io"),
        Peer("ws", "plain", node("ws_chat.mjs"), NODE / "node_modules/ws"),
        Peer("Nchan", "nchan", nchan, binary("nginx")),
        Peer("Bun", "plain", bun, binary("bun")),
        Peer("rtcli", "rtcli", rtcli(), HERE_ALWAYS, "/readyz"),
        Peer("rtcli acked", "rtcli-ids", rtcli(), HERE_ALWAYS, "/readyz"),
        Peer("rtcli portable", "rtcli", rtcli(), HERE_ALWAYS, "/readyz", env=PORTABLE),
        Peer("rtcli memory", "rtcli-ids", rtcli(), HERE_ALWAYS, "/readyz"),
        Peer("rtcli SQLite", "rtcli-ids", rtcli("sqlite:@HERE@/log.db"), HERE_ALWAYS, "/readyz"),
        Peer("rtcli Redis", "rtcli-ids", rtcli(ON_REDIS), REDIS, "/readyz"),
        Peer("rtcli Redis, 2 instances", "rtcli-ids", rtcli(ON_REDIS), REDIS, "/readyz", 2),
        Peer("rtcli Redis, 4 instances", "rtcli-ids", rtcli(ON_REDIS), REDIS, "/readyz", 4),
    )
}


def installed(names: list[str]) -> list[Peer]:
    """Those of `names` that can be started here; the others are named on stderr."""
    found: list[Peer] = []
    for name in names:
        peer = PEERS[name]
        if peer.needs.exists():
            found.append(peer)
        else:
            print(f"-- left out: {name} is not installed (scripts/bench installs it)", file=sys.stderr)
    return found


def first_line(*argv: str) -> str:
    """What a program says about its version: the first line it prints, or nothing when it is not there."""
    if shutil.which(argv[0]) is None:
        return ""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def package_json_version(folder: Path) -> str:
    """The version that an installed npm package states."""
    file = folder / "package.json"
    if not file.is_file():
        return ""
    return next((line.split('"')[3] for line in file.read_text().splitlines() if '"version":' in line), "")


def versions() -> dict[str, str]:
    """The versions of everything that takes part; what is not installed is left out."""
    found = {
        name: version(name) for name in ("fastapi", "uvicorn", "uvloop", "picows", "websockets", "msgspec")
    }
    found["Python"] = sys.version.split()[0]
    found["Node"] = first_line(str(binary("node")), "--version").removeprefix("v")
    found["Bun"] = first_line(str(binary("bun")), "--version")
    found["nginx"] = first_line(str(binary("nginx")), "-v").rpartition("/")[2]
    found["k6"] = first_line(str(binary("k6")), "version").removeprefix("k6 v").partition(" ")[0]
    found["Locust"] = first_line(str(binary("locust")), "--version").removeprefix("locust ").partition(" ")[0]
    found["ws"] = package_json_version(NODE / "node_modules/ws")
    found["Socket.IO"] = package_json_version(NODE / "node_modules/socket.io")
    return {name: said for name, said in found.items() if said}
