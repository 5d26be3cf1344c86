"""Named deployments: where each is, where its token comes from, whom to trust. `rtcli context` writes them.

Each is a file of its own, `$XDG_CONFIG_HOME/rtcli/contexts/NAME.toml`; `…/rtcli/context` has the name of the
one that is used. None of them holds a token or a key: they name the files that do.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.proxies import proxy_for
from rtcli.errors import CliError
from rtcli.files import PRIVATE, place_of, write_whole

MAX_BYTES = 65_536
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PATHS = ("token_file", "secret_file", "cacert", "cert", "key")


@dataclass(frozen=True)
class Context:
    """One deployment. The fields are the options of the same names; paths are absolute."""

    url: str
    token_file: str | None = None
    secret_file: str | None = None
    as_name: str | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False
    proxy: str | None = None  # a URL without a password, or none

    @property
    def endpoint(self) -> Endpoint:
        """Where it is. Raises CliError (2)."""
        return parse_endpoint(self.url)


class Contexts:
    """The contexts of one person. Methods raise CliError (2) for names and files that cannot be used."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._folder = _config_folder(env)

    def names(self) -> list[str]:
        """All names, in order."""
        if self._folder is None:
            return []
        found = (path.stem for path in (self._folder / "contexts").glob("*.toml"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def read(self, name: str) -> Context:
        """Read one."""
        path = self._path(name)
        try:
            place_of(path)  # a FIFO would be waited for
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none yet; make one: rtcli context set NAME --url URL"
            raise CliError(f"there is no context {name!r}", hint=f"there are: {known}") from None
        except OSError as error:
            raise _unusable(path, _why(error)) from None
        return _parse(path, text)

    def write(self, name: str, context: Context) -> None:
        """Write one, new or in place of the old one."""
        path = self._path(name)
        _check(path, context)
        lines = [f"{key} = {_toml(value)}\n" for key, value in asdict(context).items() if value]
        self._write(path, "".join(lines))

    def remove(self, name: str) -> None:
        """Remove one; when it was selected, none is."""
        path = self._path(name)
        try:
            path.unlink()
        except FileNotFoundError:
            self.read(name)  # says which there are
        except OSError as error:
            raise _unusable(path, _why(error)) from None
        if self.selected() == name:
            self.select("")

    def selected(self) -> str:
        """The name of the context that is used when nothing else is said; empty: none."""
        if self._folder is None:
            return ""
        path = self._folder / "context"
        try:
            with path.open("rb") as file:
                return file.read(256).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise _unusable(path, _why(error)) from None

    def select(self, name: str) -> None:
        """Use this one from now on; empty: none."""
        if name:
            self.read(name)
        self._write(self._path("x").parents[1] / "context", f"{name}\n")

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise CliError("no home directory for contexts", hint="set HOME, or XDG_CONFIG_HOME")
        if not _NAME.fullmatch(name):
            raise CliError(
                f"{name!r} cannot be a context's name",
                hint="letters, digits and . _ - after the first, up to 64",
            )
        return self._folder / "contexts" / f"{name}.toml"

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, text.encode(), PRIVATE)
        except OSError as error:
            raise _unusable(path, _why(error)) from None


def _config_folder(env: Mapping[str, str]) -> Path | None:
    # XDG Base Directory Specification: "All paths ... must be absolute"; a relative one is ignored.
    config = Path(env.get("XDG_CONFIG_HOME", ""))
    if not config.is_absolute():
        home = Path(env.get("HOME", ""))
        if not home.is_absolute():
            return None
        config = home / ".config"
    return config / "rtcli"


def _parse(path: Path, text: bytes) -> Context:
    if len(text) > MAX_BYTES:
        raise _unusable(path, f"it has more than {MAX_BYTES} bytes")
    try:
        values = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unusable(path, f"it is no TOML: {error}") from None
    known = {field.name for field in fields(Context)}
    for key, value in values.items():
        if key not in known:
            hint = "a token is not kept here, but in a file: token_file" if "token" in key else ""
            raise _unusable(path, f"there is no setting {key!r}", hint=hint)
        if not isinstance(value, bool if key == "insecure" else str):
            raise _unusable(path, f"{key} is {'true or false' if key == 'insecure' else 'a text'}")
    if "url" not in values:
        raise _unusable(path, "it has no url")
    context = Context(**values)
    _check(path, context)
    return context


def _check(path: Path, context: Context) -> None:
    """Raise CliError for values that contradict each other, or that TOML cannot hold."""
    parse_endpoint(context.url)
    for name in _PATHS:
        value = getattr(context, name)
        if value is not None and not Path(value).is_absolute():
            raise _unusable(path, f"{name}: {value!r} is not an absolute path")
    if context.token_file is not None and context.secret_file is not None:
        raise _unusable(path, "token_file and secret_file exclude each other")
    if context.key is not None and context.cert is None:
        raise _unusable(path, "key needs cert")
    if context.proxy:
        if "@" in context.proxy:
            raise _unusable(path, "no password of a proxy is kept here", hint="HTTPS_PROXY may have one")
        proxy_for(context.endpoint, {}, context.proxy, origin="proxy")
    texts = [value for value in asdict(context).values() if isinstance(value, str)]
    if not all(text.isprintable() for text in texts):
        raise _unusable(path, "a value has control characters in it")


def _toml(value: str | bool) -> str:
    # TOML 1.0, String: quotes and backslashes are escaped as in JSON, and there is nothing else to escape.
    return json.dumps(value, ensure_ascii=False)


def _why(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _unusable(path: Path, why: str, *, hint: str = "") -> CliError:
    return CliError(f"{path}: {why}", hint=hint or "mend the file, or set it anew: rtcli context set")
