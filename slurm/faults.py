"""Mistakes in settings that each name the field in which they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic_core import PydanticCustomError


class Fault(NamedTuple):
    """One mistake that a model's validator found.

    Attributes:
        path: the keys that lead to the field, from the model on.
        message: what is wrong, what is allowed, and what was found.
        code: of mistakes that have a page of their own; these have none.
    """

    path: tuple[str, ...]
    message: str
    code: None = None


def refuse(faults: Iterable[Fault]) -> None:
    """Raises the one error for a validator to raise, if there are mistakes.

    A program that knows where each field was written finds the mistakes in the error's context,
    under `faults`, and shows each at its own place.

    Raises:
        PydanticCustomError: there are.
    """
    found = tuple(faults)
    if found:
        lines = "; ".join(f"{'.'.join(fault.path)}: {fault.message}" for fault in found)
        raise PydanticCustomError("faults", lines, {"faults": found})  # type: ignore[arg-type]
