"""Group elements at work on feature grids, and which pixels of a view they can account for.

An encoder's feature grid lies over the image: the cell in the middle of the grid looks at the
middle of the image, whatever the encoder's stride. So an element in normalised coordinates acts on
a grid of any size as it acts on images (`act`), and an encoder f is equivariant to it where `f(g x)
== act(f(x), g)`.

For some elements that can hold exactly. Flips and quarter turns only put pixels in other places,
and cells of a square grid too: there `act` is a permutation, and `act(act(f, a), b) == act(f,
compose(b, a))` holds bit by bit. They are the ops that have an inverse (`invertible`). All others
resample, or show only a part: equivariance to them is up to interpolation, and only where the
outgoing grid sees what the incoming one saw (`act` says where).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from augspec.compiler.geometry import geometric_ops, moves, view_matrix, view_plan
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan
from augspec.kernels.group import relative
from augspec.kernels.warp import adjugate, sources, warp
from augspec.ops.contract import Size

WHOLE = 1e-6
"""Places this close to the centre of a cell, in cells, are that centre."""

_TRACE = 1e-4  # a pixel that is mixed with less of a fill than this shows the image


def act(
    features: Tensor,
    matrix: Tensor,
    *,
    interpolation: Literal["nearest", "bilinear"] = "bilinear",
    size: Size | None = None,
) -> tuple[Tensor, Tensor]:
    """Move the cells of feature grids as group elements move pixels.

    A sample of which every cell comes from the centre of another (a flip, a quarter turn of a
    square grid, a shift by whole cells) is not interpolated: its features are the very same
    numbers. Differentiable in features and, with `bilinear`, in the matrix, for such samples too.
    Nothing makes the host wait.

    Args:
        features: `(B, C, h, w)`.
        matrix: `(B, 3, 3)`, or `(3, 3)` for all samples, in normalised coordinates, up to a factor.
        interpolation: how features between cells are found.
        size: height and width of the grids that come out; those of `features` if None.

    Returns:
        The grids `(B, C, *size)`, with zeros where nothing is known; and where they are known from
        inside the incoming grid alone, `(B, 1, *size)` bool.
    """
    height, width = features.shape[-2:]
    matrix = matrix.expand(len(features), 3, 3)
    size = size or (height, width)
    row, column = _cells(adjugate(matrix.double()), (height, width), size)
    reach = 0.0 if interpolation == "bilinear" else 0.5
    visible = _within(row, height, reach) & _within(column, width, reach)
    moved = warp(features, matrix, interpolation="nearest", fill=0.0, size=size)
    if interpolation == "nearest":
        return moved, visible.unsqueeze(1)
    between = warp(features, matrix, interpolation="bilinear", fill=0.0, size=size)
    whole = (_at_centre(row) & _at_centre(column)).flatten(1).all(dim=1)
    exact = moved.detach() + (between - between.detach())
    return torch.where(whole[:, None, None, None], exact, between), visible.unsqueeze(1)


def permutes(matrix: Tensor, size: Size) -> Tensor:
    """On which samples an element only puts the cells of a grid in other places: `(B,)` bool.

    Args:
        matrix: `(B, 3, 3)`, in normalised coordinates, up to a factor.
        size: height and width of the grid.
    """
    row, column = _cells(adjugate(matrix.double()), size, size)
    kept = _within(row, size[0], 0.0) & _within(column, size[1], 0.0)
    return (kept & _at_centre(row) & _at_centre(column)).flatten(1).all(dim=1)


def invertible(source: Plan | Pipeline, *, view: str) -> tuple[str, ...]:
    """The ids of the view's geometric ops that lose nothing: what equivariance can be exact to.

    Those inside combinators are named as the layout names them, such as `maybe.horizontal_flip`.

    Raises:
        KeyError: an unknown view.
    """
    ops = geometric_ops(view_plan(source, view))
    return tuple(path for path, op in ops if op.not_invertible is None)


def not_invertible(source: Plan | Pipeline, *, view: str) -> dict[str, str]:
    """The ids of the view's other geometric ops, and what each of them loses.

    Raises:
        KeyError: an unknown view.
    """
    ops = geometric_ops(view_plan(source, view))
    return {path: op.not_invertible for path, op in ops if op.not_invertible is not None}


def scene(
    source: Plan | Pipeline,
    params: Mapping[str, Tensor],
    size: Size,
    *,
    view: str,
    batch: int = 1,
) -> Tensor:
    """Which pixels of a view show the incoming image, and nothing that was filled in.

    The pixels that an op has nothing for, or mixes from such, are lost, even if the next op brings
    their place back into the frame. This is counted with bilinear interpolation: an antialiased
    crop may still mix in a little of a fill just beyond. What ops paint over that move nothing
    (`erase`) is not looked for, and ops that bend the image are taken to leave it as it is.

    Args:
        source: a plan, or a pipeline.
        params: the view's parameters by `op.parameter`, `(B,)` each.
        size: height and width of the images that come in.
        view: the view's name.
        batch: B, for a view without parameters.

    Returns:
        `(B, 1, H, W)` bool, of the view's height and width.

    Raises:
        KeyError: an unknown view, or a parameter is missing.
    """
    steps = moves(source, params, size, view=view, batch=batch)
    known = next((matrix for matrix, _ in steps), next(iter(params.values()), None))
    count, device = (batch, None) if known is None else (len(known), known.device)
    shown = torch.ones(count, 1, *size, device=device)
    for matrix, after in steps:
        moved, visible = act(shown, matrix, size=after)
        shown = (visible & (moved > 1 - _TRACE)).to(shown)
    return shown > 0.5


def overlap(
    source: Plan | Pipeline,
    params_a: Mapping[str, Tensor],
    params_b: Mapping[str, Tensor],
    size: Size,
    *,
    views: tuple[str, str],
    batch: int = 1,
) -> Tensor:
    """Which pixels of view b show a part of the image that view a shows too (see `scene`).

    There, `act(view a, relative(a, b))` is what the geometry alone makes of view b.

    Args:
        source: a plan, or a pipeline.
        params_a: the parameters of view a.
        params_b: the parameters of view b.
        size: height and width of the images that come in.
        views: the names of both.
        batch: B, for views without parameters.

    Returns:
        `(B, 1, H, W)` bool, of the height and width of view b.

    Raises:
        KeyError: an unknown view, or a parameter is missing.
    """
    # a view without parameters has as many samples, on the same device, as the other
    pairs = list(zip(views, (params_a or params_b, params_b or params_a), strict=True))
    a, b = (scene(source, own, size, view=name, batch=batch) for name, own in pairs)
    maps = [view_matrix(source, own, size, view=name, batch=batch) for name, own in pairs]
    shape = (b.shape[-2], b.shape[-1])
    seen, visible = act(a.float(), relative(maps[0], maps[1]), size=shape)
    return b & visible & (seen > 1 - _TRACE)


def _cells(back: Tensor, size: Size, out: Size) -> tuple[Tensor, Tensor]:
    """Which row and column of a grid each cell of the outgoing grid comes from, `(B, *out)`.

    Whole numbers are the centres of cells.

    Args:
        back: `(B, 3, 3)`, from points of the outgoing grid to points of the incoming one.
        size: height and width of the incoming grid.
        out: height and width of the outgoing one.
    """
    x, y = sources(back, *out)
    return (y + 1) * (size[0] / 2) - 0.5, (x + 1) * (size[1] / 2) - 0.5


def _within(index: Tensor, count: int, reach: float) -> Tensor:
    """Whether places lie between the first centre and the last, or up to `reach` cells beyond."""
    return (index > -reach - WHOLE) & (index < count - 1 + reach + WHOLE)


def _at_centre(index: Tensor) -> Tensor:
    return (index - index.round()).abs() < WHOLE
