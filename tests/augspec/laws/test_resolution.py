"""The same code shows the same at twice the resolution, over random specs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_specs import Case, Kind, cases, examples
from scaling import FEW, doubled, smooth, strangers
from torch import Tensor

from augspec import Pipeline
from augspec.encoding.layout import Layout
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op

B = 4
SIZE = (32, 32)
SCALABLE = Kind(
    # levels make a step of the last bit's rounding, where a fill lies just at the edge of one
    allow=lambda op: op.not_scalable is None and op.not_differentiable is None,
    usual=True,
    views=1,
    sizes=(SIZE, (32, 36)),
    sides=(12, 40),
)
Edit = Callable[[Layout, Tensor], Tensor]


def off(case: Case, seed: int, edit: Edit = lambda layout, code: code) -> dict[str, Tensor]:
    """The fraction of strangers in each sample's view, by view.

    Args:
        case: what is drawn from, and rendered at both resolutions.
        seed: decides on the images and the draws.
        edit: what becomes of the codes on their way to twice the resolution.
    """
    large = doubled(case)
    pipeline, other = case.pipeline(seed), large.pipeline(seed)
    codes = pipeline.draw(torch.arange(B), 0, case.size)
    assert {n: v.hash for n, v in pipeline.layouts.items()} == {
        n: v.hash for n, v in other.layouts.items()
    }
    edited = {name: edit(pipeline.layouts[name], code) for name, code in codes.items()}
    views = shown(pipeline, case, codes, seed)
    double = shown(other, large, edited, seed)
    return {name: strangers(view, double[name]) for name, view in views.items()}


def shown(pipeline: Pipeline, case: Case, codes: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    x = smooth(case.size, case.spec.image.channels, B, seed)
    return pipeline.apply(x, pipeline.decode(codes))


@examples(50)
@given(case=cases(SCALABLE), seed=st.integers(0, 2**31))
def test_a_code_shows_the_same_at_twice_the_resolution(case: Case, seed: int) -> None:
    for name, fraction in off(case, seed).items():
        assert (fraction <= FEW).all(), (name, fraction)


WIDE = {"op": "gaussian_blur", "kernel": 45, "sigma": [6, 8]}
LENGTHS = ("width", "height", "shorter side")


def with_lengths() -> dict[str, list[dict[str, Any]]]:
    """The examples of every scalable op that has lengths among its parameters, by tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for tag, cls in OPS.items():
        for example in ({}, *cls.examples):
            op = cls.model_validate({"op": tag, **example})
            lengths = any(p.unit.endswith(LENGTHS) and p.acts for p in op.parameters())
            if op.not_scalable is None and lengths and not isinstance(op, Combinator):
                size = {"size": 24} if hasattr(op, "size") else {}
                found.setdefault(tag, []).append({"op": tag, **example, **size})
    return {**found, "gaussian_blur": [WIDE]}  # its examples hardly blur


def halved(layout: Layout, code: Tensor) -> Tensor:
    """What the code would be if lengths were in pixels."""
    code = code.clone()
    for slot in layout.slots:
        if slot.unit.endswith(LENGTHS):
            code[:, slot.slice] /= 2
    return code


@pytest.mark.parametrize(("tag", "ops"), with_lengths().items())
def test_lengths_in_pixels_would_be_noticed(tag: str, ops: list[dict[str, Any]]) -> None:
    noticed = False
    for op in ops:
        case = Case({"version": 1, "name": "t", "views": {"v": {"ops": [op]}}}, SIZE)
        assert (off(case, 3)["v"] <= FEW).all()
        noticed |= bool((off(case, 3, halved)["v"] > FEW).any())
    assert noticed


def test_what_is_not_scalable_says_why_and_combinators_say_what_their_ops_say() -> None:
    refusing = {tag: cls() for tag, cls in OPS.items() if cls().not_scalable is not None}
    assert set(refusing) >= {"gaussian_noise", "jpeg", "box_blur", "elastic"}
    assert "gaussian_blur" not in refusing
    for tag, cls in OPS.items():
        if not issubclass(cls, Combinator):
            continue
        for op in refusing.values():
            inner: list[Op] = [OPS["sequence"].model_validate({"op": "sequence", "ops": [op]})]
            outer = cls.model_validate({"op": tag, "ops": inner})
            assert outer.not_scalable == op.not_scalable
        assert cls.model_validate({"op": tag, "ops": [OPS["gamma"]()]}).not_scalable is None
