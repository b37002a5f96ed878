"""What commands share: the options of loading a spec, and mistakes that lie in no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augspec.language.diagnostics import Diagnostic, SpecError, meant
from augspec.language.spec import Spec, load

Overrides = Annotated[
    list[str] | None, Parameter(name="--set", consume_multiple=False, negative="")
]
"""`--set path=value`, any number of times."""

Flag = Annotated[bool, Parameter(negative="")]
"""A switch that is off unless it is given; it has no `--no-...` form."""

Json = Annotated[bool, Parameter(name="--json", negative="")]
"""`--json`: plain data instead of text."""


def _below(limit: int, text: str) -> Parameter:
    """A whole number from 0 to below the limit, which the messages write as `text`."""

    def check(kind: object, value: int) -> None:
        if not 0 <= value < limit:
            raise ValueError(f"must lie in [0, {text}), got {value}")

    return Parameter(validator=check)


Word = Annotated[int, _below(2**32, "2**32")]
"""A seed or an epoch: they key the draws."""

SampleId = Annotated[int, _below(2**56, "2**56")]
"""The id by which draws know an image."""


def load_spec(path: Path, overrides: Sequence[str] | None, allow_outside: bool) -> Spec:
    """Loads a spec as the options of the command line say.

    Raises:
        SpecError: it cannot be read, or has mistakes.
    """
    return load(path, overrides or (), allow_outside=allow_outside)


def mistake(message: str) -> SpecError:
    """A mistake that lies in no file, such as a name that does not exist."""
    return SpecError(Diagnostic(None, message))


def unknown(what: str, name: str, known: Iterable[str]) -> SpecError:
    """The mistake of a name that is not one of those known, with the one that was meant."""
    known = list(known)
    return mistake(f"unknown {what} {name!r}{meant(name, known)} ({what}s: {', '.join(known)})")
