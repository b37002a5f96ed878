"""Finds the ops of a view that a format has columns for, and says why it cannot be written in it.

A format is exact about which ops a view may have: an op that it has no columns for would change the
image without a trace in the vector.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from augspec.compiler.plan import Step, ViewPlan
from augspec.formats.contract import FormatError
from augspec.ops import OPS
from augspec.ops.combinator import Combinator


def match(
    view: ViewPlan, form: str, known: Sequence[str], required: Sequence[str], *, ordered: bool
) -> dict[str, Step]:
    """The view's steps by their tag.

    Args:
        view: the view.
        form: the format's name, for messages.
        known: the tags of the ops that the format knows.
        required: those that a view must have.
        ordered: whether the ops must come in the order of `known`; otherwise, only the first of
            `known` must come first.

    Raises:
        FormatError: the view has other ops, or they come in another order.
    """
    order = ", in this order" if ordered else f", {known[0]} first"
    listed = f"it knows {', '.join(known)}{order}"
    found: dict[str, Step] = {}
    for step in view.steps:
        tag, where = step.op.tag(), f"views.{view.name}.ops.{step.id}"
        if tag not in known:
            raise FormatError(
                f"format {form} has no columns for {tag} ({where}); {listed}{_inside(step, known)}"
            )
        if tag in found:
            raise FormatError(
                f"format {form} has columns for one {tag}, and view {view.name} has two: "
                f"{found[tag].id} and {step.id}"
            )
        later = [t for t in found if known.index(t) > known.index(tag)]
        if later and (ordered or tag == known[0]):
            raise FormatError(
                f"format {form} needs {tag} before {later[0]}, and in view {view.name} it comes "
                f"after ({where}); {listed}"
            )
        found[tag] = step
    for tag in required:
        if tag not in found:
            raise FormatError(
                f"format {form} needs {tag}, which view {view.name} does not have; {listed}"
                f"{_off(tag)}"
            )
    return found


def alike(form: str, group: Sequence[ViewPlan], found: Sequence[dict[str, Step]]) -> None:
    """Checks that two views have the same ops, so that they can be compared.

    Raises:
        FormatError: one has an op that the other has not.
    """
    both = zip(group, found, strict=True)
    for (view, steps), (other, others) in itertools.permutations(both, 2):
        for tag in steps:
            if tag not in others:
                raise FormatError(
                    f"format {form} compares views with the same ops: {view.name} has {tag}, and "
                    f"{other.name} has not{_off(tag)}"
                )


def _inside(step: Step, known: Sequence[str]) -> str:
    """What to do about an op that the format knows, but inside a combinator."""
    inner = [op.tag() for _, op in step.op.leaves()] if isinstance(step.op, Combinator) else []
    hidden = [tag for tag in inner if tag in known]
    return f"; {hidden[0]} must stand outside of {step.op.tag()}" if hidden else ""


def _off(tag: str) -> str:
    """How to have an op's columns without the op."""
    gated = "p" in OPS[tag].model_fields
    return f"; `{{op: {tag}, p: 0}}` has the columns and never acts" if gated else ""
