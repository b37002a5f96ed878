"""The moments of canonical codes, from the spec: not measured on data, and no constants.

Published formats have theirs in `augspec.formats.moments`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from augspec.codes.statistics import DRAWS, ColumnStatistics, Known, pooled, statistics
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan, ViewPlan, make_plan
from augspec.encoding.moments import Moments
from augspec.language.spec import Spec
from augspec.ops.contract import Size

EPOCH = 2**32 - 1
"""Which draws stand for all: those of the last epoch, which no training reaches, and seed 0."""


def moments(
    spec: Spec,
    *,
    views: Sequence[str] | None = None,
    sizes: Sequence[Size] | None = None,
    draws: int = DRAWS,
) -> ColumnStatistics:
    """Mean, standard deviation and covariance of the codes of views.

    Args:
        spec: the spec.
        views: which views, pooled; those that have a code if None. All must have one layout.
        sizes: heights and widths of the images that come in, equally likely; the spec's
            `image.size` if None.
        draws: how many samples to draw for columns without an exact value.

    Raises:
        KeyError: an unknown view.
        ValueError: the views have several layouts, or no columns; or a draw is needed, and nothing
            says what size the images have.
    """
    plan = make_plan(spec)
    chosen = pooled_views(plan, views)
    sizes = list(sizes) if sizes is not None else [spec.input_size] if spec.input_size else []
    seen: dict[str, Known] = {}
    exact = []
    for view in chosen:
        # the same object for equal views: then their pool is one of them
        key = str([step.op.model_dump(mode="json") for step in view.steps])
        if key not in seen:
            seen[key] = over_sizes(sizes, partial(_known, view))
        exact.append(seen[key])

    def columns(pipeline: Pipeline, ids: Tensor, size: Size, positions: Tensor) -> list[Tensor]:
        codes = pipeline.draw(ids, EPOCH, size, positions)
        return [codes[view.name] for view in chosen]

    names = chosen[0].layout.column_names
    draw = sampler(plan, sizes, columns)
    return statistics([view.name for view in chosen], names, exact, draw, draws)


def pooled_views(plan: Plan, names: Sequence[str] | None = None) -> list[ViewPlan]:
    """The views of these names, or all that have a code; they must share one layout.

    Raises:
        KeyError: an unknown view.
        ValueError: they have several layouts, or none has a code.
    """
    coded = [view for view in plan.views if view.layout.width]
    chosen = coded if names is None else [plan.view(name) for name in names]
    if not chosen or not chosen[0].layout.width:
        raise ValueError("no view has a code" if names is None else f"no code: {', '.join(names)}")
    for view in chosen[1:]:
        first = chosen[0]
        if view.layout.hash != first.layout.hash:
            raise ValueError(
                f"views {first.name!r} and {view.name!r} have codes of different layouts, which "
                f"cannot be pooled: name views of one layout\n{first.layout.diff(view.layout)}"
            )
    return chosen


def _known(view: ViewPlan, size: Size | None) -> Known:
    return side_by_side([step.op.moments(at) for step, at in view.placed(size)])


def side_by_side(parts: Sequence[Moments]) -> Known:
    """What is known of the columns of several ops that draw for themselves."""
    if not parts:
        return Known(torch.zeros(0).double(), torch.zeros(0, 0).double())
    blocks = [part.covariance for part in parts]
    return Known(torch.cat([part.mean for part in parts]), torch.block_diag(*blocks))


def over_sizes(sizes: Sequence[Size], known: Callable[[Size | None], Known]) -> Known:
    """What is known over images of several sizes, equally likely.

    Args:
        sizes: the sizes; empty if they are not known.
        known: what is known for one size.
    """
    if not sizes:
        return known(None)
    counts = Counter(sizes)
    return pooled([known(size) for size in counts], [float(n) for n in counts.values()])


def sampler(
    plan: Plan,
    sizes: Sequence[Size],
    columns: Callable[[Pipeline, Tensor, Size, Tensor], Sequence[Tensor]],
) -> Callable[[Tensor], list[Tensor]]:
    """Draws columns for ids, the sizes taking turns.

    Args:
        plan: the plan.
        sizes: the sizes of the images that come in, equally likely.
        columns: the columns of samples of one size, by pipeline, ids `(B,)`, size and positions.
    """
    pipeline = Pipeline(plan)
    streams = (s for view in plan.views for step in view.steps for s in step.streams)
    # no two samples share a draw: they would count as two
    apart = max((stream.samples for stream in streams), default=1)

    def draw(ids: Tensor) -> list[Tensor]:
        if not sizes:
            raise ValueError(
                "the moments depend on the size of the images, which the spec leaves open: "
                "give it as `image.size` in the spec, or with the call"
            )
        turn = ids % len(sizes)
        parts = [
            columns(pipeline, own, size, own * apart)
            for k, size in enumerate(sizes)
            if len(own := ids[turn == k])
        ]
        return [torch.cat(view) for view in zip(*parts, strict=True)]

    return draw
