"""A command that takes bundles of options is, for a person, one that takes the options."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rtcli.cli import options
from rtcli.cli.bundles import takes_bundles


@dataclass(frozen=True)
class WhereOptions:
    """Where to."""

    url: Annotated[str, typer.Option("--url", "-u", envvar="BUNDLES_URL", help="The server.")] = (
        "http://default"
    )
    header: Annotated[list[str] | None, typer.Option("--header", "-H")] = None


@dataclass(frozen=True)
class PaceOptions(WhereOptions):
    """A bundle that inherits the options of another."""

    wait: Annotated[float | None, typer.Option("--wait", parser=options.duration)] = None
    count: Annotated[int, typer.Option("--count", min=1)] = 1


@dataclass(frozen=True)
class NeededOptions:
    """An option that must be given."""

    name: Annotated[str, typer.Option("--name")]


@dataclass(frozen=True)
class TwiceOptions:
    """The name of an option of `WhereOptions`."""

    url: Annotated[str, typer.Option("--url")] = ""


@dataclass(frozen=True)
class FactoryOptions:
    """A default that is made anew each time."""

    tags: Annotated[list[str], typer.Option("--tag")] = field(default_factory=list)


def make_app(command: Callable[..., object]) -> typer.Typer:
    app = options.new_app()
    app.command()(command)
    return app


def said(command: Callable[..., object], *arguments: str) -> str:
    result = CliRunner().invoke(make_app(command), arguments)
    assert result.exit_code == 0, result.output
    return result.output.strip()


@takes_bundles()
def send(
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    *,
    loud: Annotated[bool, typer.Option("--loud", help="In capitals.")] = False,
    pace: PaceOptions,
    verbose: options.Verbose = 0,
) -> None:
    """Send a text."""
    typer.echo(f"{text} {loud} {pace} {verbose}")


@takes_bundles(first=("header", "verbose"))
def reordered(*, where: WhereOptions, verbose: options.Verbose = 0) -> None:
    typer.echo(f"{where.header} {verbose}")


@takes_bundles()
def needs(*, needed: NeededOptions) -> None:
    typer.echo(needed.name)


def test_the_values_arrive_in_their_bundles() -> None:
    given = (
        "hi",
        "--loud",
        "-u",
        "http://a",
        "-H",
        "A: 1",
        "-H",
        "B: 2",
        "--wait",
        "2m",
        "--count",
        "3",
        "-vv",
    )
    assert said(send, *given) == (
        "hi True PaceOptions(url='http://a', header=['A: 1', 'B: 2'], wait=120.0, count=3) 2"
    )


def test_what_is_not_given_has_its_default() -> None:
    assert said(send, "hi") == "hi False PaceOptions(url='http://default', header=None, wait=None, count=1) 0"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLES_URL", "http://environment")
    assert "url='http://environment'" in said(send, "hi")
    assert "url='http://given'" in said(send, "hi", "--url", "http://given")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["hi", "--urll", "x"], "No such option: --urll"),
        (["hi", "--pace", "x"], "No such option: --pace"),
        (["hi", "--count", "0"], "--count"),
        (["hi", "--wait", "soon"], "is not a duration"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_is_reported_for_its_option(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(make_app(send), arguments)
    assert result.exit_code == 2
    assert problem in result.output


def test_an_option_without_a_default_must_be_given() -> None:
    assert said(needs, "--name", "Ann") == "Ann"
    assert "Missing option '--name'" in CliRunner().invoke(make_app(needs), []).output


def test_the_help_has_the_options_in_the_order_of_parameters_and_fields() -> None:
    text = said(send, "--help")
    assert "Send a text." in text
    assert "env var: BUNDLES_URL" in " ".join(text.split())
    assert "default: http://default" in " ".join(text.split())
    assert re.findall(r"(--[a-z]+)(?= )", text.partition("Options:")[2]) == [
        "--loud", "--url", "--header", "--wait", "--count", "--verbose", "--help",
    ]  # fmt: skip


def test_some_options_can_be_listed_first() -> None:
    text = said(reordered, "--help").partition("Options:")[2]
    assert re.findall(r"(--[a-z]+)(?= )", text) == ["--header", "--verbose", "--url", "--help"]
    assert said(reordered, "-v", "-H", "A: 1") == "['A: 1'] 1"


def test_two_options_with_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two options with one name: url"):

        @takes_bundles()
        def _(*, where: WhereOptions, again: TwiceOptions) -> None: ...


def test_a_default_factory_is_refused() -> None:
    with pytest.raises(TypeError, match=r"FactoryOptions\.tags: options have plain defaults"):

        @takes_bundles()
        def _(*, tags: FactoryOptions) -> None: ...


def test_an_unknown_name_cannot_be_listed_first() -> None:
    with pytest.raises(TypeError, match="no option to list first: url"):

        @takes_bundles(first=("url",))
        def _(*, needed: NeededOptions) -> None: ...
