"""What neighbours read of the parameters of two views: as codes, or as their papers wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

import augspec

if TYPE_CHECKING:
    from augspec import Pipeline, Plan, Ragged, RelativeLayout

Reads: TypeAlias = Literal["nothing", "codes", "relative", "augself", "cassle"]
"""The vectors of views a and b: none; the canonical codes of a and of b; the relative codes from a
to b and from b to a; AugSelf's differences a - b and b - a; CASSLE's descriptions of a and of b."""
OF_ONE_SIZE: frozenset[Reads] = frozenset({"relative", "cassle"})
"""Those that are known for source images of one size only."""


@dataclass(frozen=True)
class Given:
    """What is known of the vectors before any data.

    Attributes:
        columns: the name of each column.
        relative: the layout of relative codes; None for all others.
    """

    columns: tuple[str, ...]
    relative: RelativeLayout | None = None


def vectors(
    reads: Reads,
    pipeline: Pipeline,
    params: Mapping[str, Mapping[str, Tensor]],
    size: tuple[int, int] | Tensor,
    views: tuple[str, str],
    images: Tensor | Ragged | None = None,
) -> tuple[Tensor, Tensor]:
    """The two vectors `(N, E)` of each image, float32.

    Args:
        reads: which.
        pipeline: what the parameters belong to.
        params: the parameters by view and `op.parameter`, `(N,)` each.
        size: height and width of the source images, or `(N, 2)`.
        views: the names of the two augmented views.
        images: the source images, for what compares pixels.

    Raises:
        FormatError: the views cannot be written in the published format.
        ValueError: the images have sizes of their own, which these vectors do not know.
    """
    first, second = views
    if reads == "nothing":
        some = next(iter(params[first].values()))
        return some.new_zeros(len(some), 0).float(), some.new_zeros(len(some), 0).float()
    if reads == "codes":
        codes = pipeline.encode({name: params[name] for name in views})
        return codes[first], codes[second]
    if reads == "relative":
        if isinstance(size, Tensor):
            raise ValueError(ONE_SIZE)
        a, b = params[first], params[second]
        there = augspec.relative(pipeline, a, b, size, views=(first, second))
        return there.code, augspec.relative(pipeline, b, a, size, views=(second, first)).code
    if images is not None and not isinstance(images, Tensor):
        if reads == "cassle":
            raise ValueError(ONE_SIZE)
        images = None
    found = augspec.encode_as(reads, pipeline, params, size, images=images, views=views)
    if reads == "augself":
        return found[f"{first},{second}"], found[f"{second},{first}"]
    return found[first], found[second]


def given(reads: Reads, plan: Plan, views: tuple[str, str]) -> Given:
    """What `vectors` will give.

    Raises:
        FormatError: the views cannot be written in the published format.
    """
    if reads == "nothing":
        return Given(())
    if reads == "codes":
        return Given(plan.view(views[0]).layout.column_names)
    if reads == "relative":
        pipeline = augspec.Pipeline(plan)
        drawn = pipeline.decode(pipeline.draw(torch.arange(1), 0, ANY_SIZE), strict=None)
        a, b = (drawn[name] for name in views)
        layout = augspec.relative(pipeline, a, b, ANY_SIZE, views=views).layout
        return Given(layout.column_names, layout)
    asked = views if reads == "augself" else views[:1]
    return Given(tuple(column.name for column in augspec.format_columns(reads, plan, *asked)))


def shares(plan: Plan, view: str, count: int) -> bool:
    """Whether images at positions k * count up to (k + 1) * count share any draw of a view.

    What is drawn anew for each image, or alike for all, does not count. Found by drawing.

    Args:
        plan: of the augmentations.
        view: the name of the view.
        count: how many images in a row.
    """
    ids = torch.arange(32 * count)
    codes = augspec.Pipeline(plan).draw(ids, 0, ANY_SIZE)[view].unflatten(0, (-1, count))
    together = (codes == codes[:, :1]).flatten(0, 1).all(dim=0)
    varied = (codes[:, 0] != codes[:1, 0]).any(dim=0)
    return bool((together & varied).any())


ONE_SIZE = (
    "relative codes and CASSLE's descriptions need source images of one size: set data.size to a "
    "number"
)
ANY_SIZE = (64, 64)
"""A size to draw for where only the layout is wanted, or what is shared."""
