"""Parameters to vectors of a published format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from augspec.compiler.plan import Plan, ViewPlan
from augspec.formats.contract import Draw, Format, FormatColumn, FormatError
from augspec.formats.evaluate import evaluate
from augspec.formats.registry import named

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from augspec.compiler.pipeline import Pipeline


def encode_as(
    form: str | Format,
    pipeline: Pipeline,
    params: Mapping[str, Mapping[str, Tensor]],
    size: tuple[int, int] | Tensor,
    *,
    images: Tensor | None = None,
    views: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Writes the parameters of a batch in a published format.

    Batched, without a host sync, and differentiable in the parameters that are. Vectors are as
    published: not normalised.

    Args:
        form: the format's name, or a format with options of its own.
        pipeline: what the parameters belong to.
        params: `ViewBatch.params`: the parameters by view and `op.parameter`, `(B,)` each.
        size: height and width of the source images; one for the batch, or `(B, 2)`.
        images: `(B, C, H, W)`, what the pipeline got; only for formats that compare pixels.
        views: which views, in order; all that draw anything if None.
        dtype: of the vectors; float32 if None.

    Returns:
        Vectors `(B, E)` by view; by `first,second` in a format that is about two views.

    Raises:
        FormatError: the format is unknown, a view cannot be written in it, or the images that it
            needs are missing.
    """
    import torch

    form = named(form)
    chosen = chosen_views(form, pipeline.plan, views)
    by_name = {view.name: view for view in chosen}
    for name in by_name:
        if name not in params:
            raise FormatError(f"format {form.name}: no parameters of view {name}")
    sides = _sides(size, next(iter(params[chosen[0].name].values())))
    found = {}
    for names in form.groups(list(by_name)):
        group = tuple(by_name[name] for name in names)
        columns = form.columns(group)
        if images is None and (needy := [c.name for c in columns if c.images]):
            raise FormatError(
                f"format {form.name} compares pixels for {', '.join(needy)}: it needs the images"
            )
        draw = Draw(pipeline, params, sides, images, chosen, group)
        found[",".join(names)] = vector(form, columns, draw).to(dtype or torch.float32)
    return found


def vector(form: Format, columns: Sequence[FormatColumn], draw: Draw) -> Tensor:
    """The vectors about one group of views, `(B, E)` float64; NaN for what lacks its images."""
    import torch

    values = evaluate(columns, draw, draw.group)
    rest = [column for column in columns if column.name not in values]
    if any(not column.images or draw.images is not None for column in rest):
        values |= form.computed(draw)
    some = next(iter(draw.params[draw.group[0].name].values()))
    lacking = torch.full_like(some, torch.nan, dtype=torch.float64)
    return torch.stack([values.get(column.name, lacking) for column in columns], dim=-1)


def format_columns(form: str | Format, plan: Plan, *names: str) -> tuple[FormatColumn, ...]:
    """The columns of the vectors about one view, or about two.

    Args:
        form: the format's name, or a format with options of its own.
        plan: the plan that has the views.
        names: one view; two for a format that compares views.

    Raises:
        FormatError: the format or a view is unknown, or a view cannot be written in the format.
    """
    form = named(form)
    wanted = 1 if form.kind == "view" else 2
    if len(names) != wanted:
        raise FormatError(
            f"format {form.name} is about {wanted} view{'s'[: wanted - 1]} at a time, "
            f"got {', '.join(names) or 'none'}"
        )
    return form.columns(chosen_views(form, plan, names))


def chosen_views(
    form: Format, plan: Plan, names: Sequence[str] | None = None
) -> tuple[ViewPlan, ...]:
    """The views of these names; all that draw anything if None.

    Raises:
        FormatError: a view is unknown, or no view draws anything.
    """
    if names is None:
        chosen = tuple(view for view in plan.views if view.layout.width)
        if not chosen:
            raise FormatError(f"format {form.name}: no view of {plan.name} draws anything")
        return chosen
    try:
        return tuple(plan.view(name) for name in names)
    except KeyError as error:
        raise FormatError(error.args[0]) from None


def _sides(size: tuple[int, int] | Tensor, like: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Height and width: numbers, or `(B,)` float64."""
    if isinstance(size, tuple):
        height, width = size
        return float(height), float(width)
    if size.shape != (len(like), 2):
        raise FormatError(f"sizes must be ({len(like)}, 2), got {tuple(size.shape)}")
    sides = size.to(like.device).double()
    return sides[:, 0], sides[:, 1]
