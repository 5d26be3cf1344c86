"""Options in bundles: a command takes a few dataclasses, and Typer sees the options that are in them.

    @dataclass(frozen=True)
    class RetryOptions:
        '''How to try again.'''

        wait: Annotated[float | None, typer.Option("--wait", parser=options.duration)] = None

    @app.command()
    @takes_bundles()
    def chat(*, room: options.Rooms = None, retry: RetryOptions, output: ConsoleOptions) -> int:
        connect(wait_s=retry.wait)

Typer makes a command's parameters from the signature of its function. `takes_bundles` makes a function whose
signature has the fields of each dataclass in place of the parameter that takes the dataclass.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

Result = TypeVar("Result")


def takes_bundles(*, first: Sequence[str] = ()) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorate a command some of whose parameters are dataclasses of options.

    The help lists the options named in `first`, then the others in the order of the parameters and fields.
    Raises TypeError when two options have one name, when a field has a default factory, and when `first`
    names no option.
    """

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        signature = inspect.signature(command, eval_str=True)
        bundles = {
            name: parameter.annotation
            for name, parameter in signature.parameters.items()
            if is_dataclass(parameter.annotation)
        }

        @functools.wraps(command)
        def run(**values: object) -> Result:
            return command(
                **{
                    name: _fill(bundles[name], values) if name in bundles else values[name]
                    for name in signature.parameters
                }
            )

        parameters = [
            option
            for name, parameter in signature.parameters.items()
            for option in (_options_of(bundles[name]) if name in bundles else [_keyword(parameter)])
        ]
        run.__dict__["__signature__"] = signature.replace(parameters=_order(parameters, first))
        return run

    return decorate


def _options_of(bundle: Any) -> list[inspect.Parameter]:  # noqa: ANN401 - a dataclass, which has no type of its own
    """The fields of a bundle as keyword parameters."""
    hints = get_type_hints(bundle, include_extras=True)
    for field in fields(bundle):
        if field.default_factory is not MISSING:
            raise TypeError(f"{bundle.__name__}.{field.name}: options have plain defaults")
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(bundle)
    ]


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    # Typer tells arguments from options by their annotations. Keywords may have defaults in any order.
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _order(parameters: list[inspect.Parameter], first: Sequence[str]) -> list[inspect.Parameter]:
    counts = Counter(parameter.name for parameter in parameters)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise TypeError(f"two options with one name: {', '.join(twice)}")
    unknown = [name for name in first if name not in counts]
    if unknown:
        raise TypeError(f"there is no option to list first: {', '.join(unknown)}")
    rank = {name: index for index, name in enumerate(first)}
    return sorted(parameters, key=lambda parameter: rank.get(parameter.name, len(rank)))


def _fill(bundle: Any, values: Mapping[str, object]) -> object:  # noqa: ANN401 - see _options_of
    """The bundle with the values that Typer found."""
    return bundle(**{field.name: values[field.name] for field in fields(bundle)})
