"""The values of a format's columns for one draw of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from augspec.compiler.plan import ViewPlan
from augspec.formats.contract import Draw, Factor, FormatColumn, FormatError, Term

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = 0.01
"""How far rounding may have moved a whole number. A box that is not on the pixel grid is not
rounded to it."""


def evaluate(
    columns: Sequence[FormatColumn], draw: Draw, group: tuple[ViewPlan, ...]
) -> dict[str, Tensor]:
    """The columns that are sums of terms, `(B,)` float64 each, by name.

    Args:
        columns: the columns; those without terms are left out.
        draw: the draw.
        group: the views that the factors' numbers mean.
    """
    import torch

    some = next(iter(draw.params[group[0].name].values()))
    codes: dict[tuple[int, str, str | None], Tensor] = {}

    def code(factor: Factor) -> Tensor:
        key = (factor.view, factor.step, factor.parameter)
        if key not in codes:
            codes[key] = _code(factor, draw, group[factor.view])
        return codes[key][:, factor.column]

    def value(term: Term) -> Tensor | float:
        scale = term.scale if term.side is None else term.scale * draw.size[term.side]
        return math.prod([code(factor) for factor in term.factors], start=scale)

    found = {}
    for column in columns:
        if column.terms is not None:
            total = torch.zeros_like(some, dtype=torch.float64)
            for term in column.terms:
                total = total + value(term)
            found[column.name] = _whole(total) if column.whole else total
    return found


def _code(factor: Factor, draw: Draw, view: ViewPlan) -> Tensor:
    """The columns of the parameter that a factor is about, `(B, width)` float64."""
    (step,) = (step for step in view.steps if step.id == factor.step)
    params = draw.params[view.name]
    names = step.parameters if factor.parameter is None else (factor.parameter,)
    for name in names:
        if step.key(name) not in params:
            raise FormatError(f"parameter {step.key(name)!r} of view {view.name} is missing")
    own = {name: params[step.key(name)] for name in names}
    if factor.parameter is None:
        return step.op.active(own)[:, None].double()
    return factor.codec.encode(own[factor.parameter].double())


def _whole(value: Tensor) -> Tensor:
    """Whole numbers without the rounding of codes; the gradient passes through."""
    import torch

    off = (value.round() - value).detach()
    return value + torch.where(off.abs() < WHOLE, off, 0.0)
