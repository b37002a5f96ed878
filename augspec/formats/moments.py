"""The moments of published formats, from the spec: not measured on data, and no constants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from augspec.codes.moments import EPOCH, over_sizes, sampler
from augspec.codes.statistics import DRAWS, ColumnStatistics, Known, statistics
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import ViewPlan, make_plan
from augspec.formats.contract import Draw, Format, FormatError
from augspec.formats.encode import chosen_views, vector
from augspec.formats.exact import known
from augspec.formats.registry import named
from augspec.language.spec import Spec
from augspec.ops.contract import Size


def format_moments(
    spec: Spec,
    form: str | Format,
    *,
    views: Sequence[str] | None = None,
    sizes: Sequence[Size] | None = None,
    images: Tensor | None = None,
    draws: int = DRAWS,
) -> ColumnStatistics:
    """Mean, standard deviation and covariance of a format's vectors, those of all views together.

    Args:
        spec: the spec.
        form: the format's name, or a format with options of its own.
        views: which views; all that draw anything if None.
        sizes: heights and widths of the images that come in, equally likely; the spec's
            `image.size` if None.
        images: `(N, C, H, W)` for columns that compare pixels, taken in turns; without them, such
            columns have NaN for their moments. They decide the size.
        draws: how many samples to draw for columns without an exact value.

    Raises:
        FormatError: the format is unknown, or a view cannot be written in it; or the vectors have
            different columns.
        ValueError: a draw is needed, and nothing says what size the images have.
    """
    form, plan = named(form), make_plan(spec)
    chosen = chosen_views(form, plan, views)
    by_name = {view.name: view for view in chosen}
    groups = [tuple(by_name[n] for n in names) for names in form.groups(list(by_name))]
    columns = [form.columns(group) for group in groups]
    names = [[column.name for column in own] for own in columns]
    for group, own in zip(groups, names, strict=True):
        if own != names[0]:
            raise FormatError(
                f"format {form.name} gives {_named(groups[0])} and {_named(group)} different "
                f"columns, which cannot be pooled ({', '.join(names[0])}; {', '.join(own)}): name "
                "views with the same ops"
            )
    if images is not None:
        sizes = [(images.shape[-2], images.shape[-1])]
    elif sizes is None:
        sizes = [spec.input_size] if spec.input_size else []
    seen: dict[str, Known] = {}
    exact = []
    for group, terms in zip(groups, columns, strict=True):
        # the same object for equal groups: then their pool is one of them
        key = str([[s.op.model_dump(mode="json"), s.streams] for v in group for s in v.steps])
        if key not in seen:
            seen[key] = over_sizes(list(sizes), partial(known, terms, group))
        exact.append(seen[key])

    def drawn(pipeline: Pipeline, ids: Tensor, size: Size, positions: Tensor) -> list[Tensor]:
        params = pipeline.decode(pipeline.draw(ids, EPOCH, size, positions), strict=None)
        own = images[ids % len(images)] if images is not None else None
        parts = [
            Draw(pipeline, params, (float(size[0]), float(size[1])), own, chosen, group)
            for group in groups
        ]
        return [vector(form, c, part) for c, part in zip(columns, parts, strict=True)]

    draw = sampler(plan, list(sizes), drawn)
    return statistics([_named(group) for group in groups], names[0], exact, draw, draws)


def _named(group: tuple[ViewPlan, ...]) -> str:
    return ",".join(view.name for view in group)
