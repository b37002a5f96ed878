"""Gradients through encode, decode and apply, over random specs, against difference quotients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import torch
from hypothesis import given
from hypothesis import strategies as st
from random_specs import Case, Kind, cases, examples
from torch import Tensor

from augspec import Pipeline
from augspec.compiler.plan import ViewPlan
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op
from augspec.ops.parameter import Parameter

B = 3
STEP = 1e-7
seeds = st.integers(0, 2**32 - 1)


def generic(view: ViewPlan, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters, away from special points where they can be differentiated.

    On the pixel grid a box snaps to it, and neutral parameters are not applied at all. Each moves
    by another amount, since equal ones may keep a symmetry, and with it a kink.
    """
    found = dict(params)
    for k, slot in enumerate(view.layout.slots):
        if slot.differentiable:
            found[slot.name] = params[slot.name] * 0.9 + 0.0123 + 0.0017 * k
    return found


def normal(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def seen(pipeline: Pipeline, view: ViewPlan, fields: Mapping[str, Tensor], seed: int) -> Function:
    """A number for each sample, of what a view of these parameters shows: `(B,)`."""

    def function(x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        code = pipeline.encode({view.name: params}, dtype=torch.float64)
        again = pipeline.decode(code, {view.name: fields}, strict=None)
        shown = pipeline.apply(x, again)[view.name]
        return (shown * normal(shown[:1].detach(), seed)).flatten(1).mean(dim=1)

    return function


Function = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def along(function: Callable[[float], Tensor], slope: Tensor, counts: Counter[str]) -> None:
    """Compares `slope` `(B,)` to the difference quotients of `function` `(B,)` at 0.

    A sample at which the two one-sided quotients differ has a kink or a jump there, and is left
    out: that is said of the function alone, whatever the gradient is.
    """
    low, middle, high = (function(t).detach() for t in (-STEP, 0.0, STEP))
    left, right = (middle - low) / STEP, (high - middle) / STEP
    scale = torch.maximum(left.abs(), right.abs())
    smooth = (left - right).abs() <= 1e-5 * scale + 1e-7
    apart = ((left + right) / 2 - slope).abs()
    assert (apart[smooth] <= 1e-4 * scale[smooth] + 1e-6).all(), (left, right, slope)
    counts["smooth"] += int(smooth.sum())
    counts["moving"] += int((smooth & (scale > 1e-5)).sum())
    counts["kinks"] += int((~smooth).sum())


def check(case: Case, seed: int, counts: Counter[str]) -> None:
    pipeline, x = case.pipeline(seed), case.images(B, seed, torch.float64).requires_grad_()
    (view, *_) = pipeline.plan.views
    fields = pipeline.seeds(torch.arange(B), 0, case.size)[view.name]
    codes = pipeline.draw(torch.arange(B), 0, case.size)
    params = pipeline.decode(codes, {view.name: fields})[view.name]
    if not view.layout.slots:
        return
    leaves = {key: value.clone().requires_grad_() for key, value in generic(view, params).items()}
    function = seen(pipeline, view, fields, seed)
    names = [slot.name for slot in view.layout.slots]
    total = function(x, leaves).sum()
    grads: list[Tensor | None] = [None] * (1 + len(names))
    if total.requires_grad:
        inputs = [x, *(leaves[name] for name in names)]
        grads = list(torch.autograd.grad(total, inputs, allow_unused=True))
    image = torch.zeros_like(x) if grads[0] is None else grads[0]
    found = dict(zip(names, grads[1:], strict=True))
    ways = {name: normal(params[name], seed + k) for k, name in enumerate(names)}
    slope = torch.zeros(B, dtype=torch.float64)
    for slot in view.layout.slots:
        grad = found[slot.name]
        if not slot.differentiable:
            assert grad is None or not grad.any(), slot.name
            ways.pop(slot.name)
        elif grad is not None:
            assert torch.isfinite(grad).all(), slot.name
            slope = slope + grad * ways[slot.name]
    fixed = {key: value.detach() for key, value in leaves.items()}
    still = x.detach()

    def through_parameters(t: float) -> Tensor:
        moved = {name: fixed[name] + t * way for name, way in ways.items()}
        return function(still, {**fixed, **moved})

    def through_image(t: float) -> Tensor:
        return function(still + t * way, fixed)

    along(through_parameters, slope, counts)
    assert torch.isfinite(image).all()
    way = normal(still, seed)
    along(through_image, (image * way).flatten(1).sum(dim=1), counts)


def test_gradients_are_those_of_the_view() -> None:
    counts: Counter[str] = Counter()

    @examples(100)
    @given(case=cases(Kind(views=1)), seed=seeds)
    def law(case: Case, seed: int) -> None:
        check(case, seed, counts)

    law()
    # most of what is compared has a slope, and few points are no good
    assert counts["moving"] > 0.6 * counts["smooth"], counts
    assert counts["smooth"] > 5 * counts["kinks"], counts


def nested(op: Op, path: str) -> Iterator[tuple[str, Parameter]]:
    """Every parameter of an op, and of those inside it, by its name in the layout."""
    if not isinstance(op, Combinator):
        yield from ((f"{path}.{p.name}", p) for p in op.parameters())
        return
    yield from ((f"{path}.{p.name}", p) for p in op.own_parameters())
    for child, inner in op.children:
        yield from nested(inner, f"{path}.{child}")


@examples(50)
@given(case=cases())
def test_the_layout_says_what_the_ops_say_of_their_parameters(case: Case) -> None:
    for view in case.pipeline().plan.views:
        said = [parameter for step in view.steps for parameter in nested(step.op, step.id)]
        said = [(name, p) for name, p in said if p.codec.width]
        assert [name for name, _ in said] == [slot.name for slot in view.layout.slots]
        for (_, parameter), slot in zip(said, view.layout.slots, strict=True):
            assert slot.differentiable == parameter.differentiable
            assert (slot.unit, slot.codec) == (parameter.unit, parameter.codec.name)
            assert len(slot.columns) == parameter.codec.width
