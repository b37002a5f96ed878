"""Columns that several formats have in common, as terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from augspec.compiler.plan import Step
from augspec.encoding.codecs import Linear
from augspec.formats.contract import Factor, FormatError, Term
from augspec.ops.geometry import pair

JITTER = ("brightness", "contrast", "saturation", "hue")


def factor(step: Step, parameter: str, view: int = 0) -> Factor:
    """A parameter's distance from its identity."""
    (identity,) = (p.identity for p in step.op.parameters() if p.name == parameter)
    return Factor(step.id, parameter, Linear(identity), view=view)


def alone(step: Step, parameter: str, view: int = 0) -> tuple[Term, ...]:
    """A parameter's distance from its identity, as a column."""
    return (Term(1.0, (factor(step, parameter, view),)),)


def plus(constant: float, terms: Sequence[Term]) -> tuple[Term, ...]:
    """A column, and a constant more."""
    return (Term(constant), *terms)


def minus(a: Sequence[Term], b: Sequence[Term]) -> tuple[Term, ...]:
    """One column less another."""
    return (*a, *(replace(term, scale=-term.scale) for term in b))


def centre_x(
    crop: Step, flip: Step | None, view: int = 0, flipped_with: int = 0
) -> tuple[Term, ...]:
    """The centre of the box across the source, from its middle; mirrored where the view is.

    Args:
        crop: the op that cuts out the box.
        flip: the op that mirrors the view; None where there is none.
        view: whose box it is.
        flipped_with: by whose flip it is mirrored.
    """
    across = factor(crop, "center_x", view)
    if flip is None:
        return (Term(1.0, (across,)),)
    return Term(1.0, (across,)), Term(-2.0, (across, factor(flip, "flip", flipped_with)))


def strength(jitter: Step, parameter: str, form: str, view: int = 0) -> tuple[Term, ...]:
    """A factor's distance from 1, or the hue, in widths of the range that it is drawn from.

    Raises:
        FormatError: it is always the same, and not neutral.
    """
    value = getattr(jitter.op, parameter)
    (neutral,) = (p.identity for p in jitter.op.parameters() if p.name == parameter)
    if value.high > value.low:
        return (Term(1 / (value.high - value.low), (factor(jitter, parameter, view),)),)
    if value.low == neutral:
        return ()  # it never acts
    raise FormatError(
        f"format {form} measures {parameter} in widths of its range, and {jitter.id} always draws "
        f"{value.low:g}: give it a range"
    )


def sigma(crop: Step, blur: Step, view: int = 0) -> tuple[Term, ...]:
    """The sigma of a blur that comes after the crop, in pixels."""
    return (Term(shorter_side(crop), (factor(blur, "sigma", view),)),)


def shorter_side(crop: Step) -> float:
    """The shorter side of what the crop gives, in pixels."""
    return float(min(pair(crop.op.size)))  # type: ignore[attr-defined]
