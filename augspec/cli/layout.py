"""`augspec layout`: the columns of the codes, or of a published format, and their moments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from augspec.cli.common import Flag, Json, Overrides, load_spec, mistake, unknown
from augspec.compiler.plan import Plan, make_plan
from augspec.language.table import table

if TYPE_CHECKING:
    from augspec.codes.statistics import ColumnStatistics
    from augspec.language.spec import Spec
    from augspec.ops.contract import Size

Many = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]
"""An option that may be repeated."""


def layout(
    path: Path,
    *,
    format_: Annotated[str | None, Parameter(name="--format")] = None,
    moments: Flag = False,
    covariance: Flag = False,
    view: Many = None,
    size: Many = None,
    images: Annotated[list[Path] | None, Parameter(consume_multiple=False, negative="")] = None,
    draws: int | None = None,
    set_: Overrides = None,
    allow_outside: Flag = False,
    json_: Json = False,
) -> int:
    """Show the columns of every view's code, or of a published format, and their moments.

    Moments are those of all views together that have a code, as a predictor sees them: exact where
    an exact value is known, and otherwise those of a seeded draw, with their standard errors.

    Args:
        path: the spec.
        format_: a published format instead of the canonical code, such as `equimod`.
        moments: show mean and standard deviation of each column.
        covariance: with `--moments --json`: also the covariances, a row for each column.
        view: the view to show; may be repeated. All, if left out.
        size: the size of the images that come in, such as `32` or `375x500`; may be repeated, and
            then each is equally likely. The spec's `image.size`, if left out.
        images: image files, or folders of them, whose sizes are those of the images that come in.
        draws: how many samples are drawn where no exact value is known; 131072, if left out.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
        json_: print plain data instead of tables.
    """
    spec = load_spec(path, set_, allow_outside)
    plan = make_plan(spec)
    for name in view or ():
        if name not in (known := [v.name for v in plan.views]):
            raise unknown("view", name, known)
    if draws is not None and draws < 2:
        raise mistake(f"--draws must be at least 2, got {draws}")
    if moments:
        found = list(_moments(spec, plan, format_, view, _sizes(size, images), draws))
        rows = [row for part in found for row in part.document(covariance=covariance)]
        text = "\n\n".join(part.describe() for part in found)
        print(json.dumps(rows, indent=2) if json_ else text)
        return 0
    if format_ is not None:
        columns = _columns(plan, format_, view)
        print(json.dumps(columns, indent=2) if json_ else "\n\n".join(_tables(columns)))
        return 0
    views = [v for v in plan.views if view is None or v.name in view]
    if json_:
        print(json.dumps({v.name: v.layout.document() for v in views}, indent=2))
    else:
        print("\n\n".join(v.layout.describe() for v in views))
    return 0


def _moments(
    spec: Spec,
    plan: Plan,
    form: str | None,
    views: Sequence[str] | None,
    sizes: list[Size] | None,
    draws: int | None,
) -> Iterator[ColumnStatistics]:
    """The moments, those of views with one layout together."""
    from augspec.codes.moments import moments
    from augspec.codes.statistics import DRAWS
    from augspec.formats import FormatError
    from augspec.formats.moments import format_moments

    try:
        if form is not None:
            yield format_moments(spec, form, views=views, sizes=sizes, draws=draws or DRAWS)
            return
        layouts: dict[str, list[str]] = {}
        for v in plan.views:
            if v.name in views if views is not None else v.layout.width:
                layouts.setdefault(v.layout.hash, []).append(v.name)
        if not layouts:
            raise mistake(f"no view of {plan.name} has a code")
        for names in layouts.values():
            yield moments(spec, views=names, sizes=sizes, draws=draws or DRAWS)
    except FormatError as error:
        raise mistake(str(error)) from None
    except ValueError as error:
        raise mistake(
            f"{error} (--size, --images)" if "size" in str(error) else str(error)
        ) from None


def _columns(plan: Plan, form: str, views: Sequence[str] | None) -> dict[str, list[dict[str, Any]]]:
    """The columns of a format, by what a vector is about."""
    from augspec.formats import FormatError, named
    from augspec.formats.encode import chosen_views

    try:
        wanted = named(form)
        chosen = {v.name: v for v in chosen_views(wanted, plan, views)}
        return {
            ",".join(names): [
                {"name": column.name, "unit": column.unit, "images": column.images}
                for column in wanted.columns(tuple(chosen[name] for name in names))
            ]
            for names in wanted.groups(list(chosen))
        }
    except FormatError as error:
        raise mistake(str(error)) from None


def _tables(columns: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for about, own in columns.items():
        rows = [("column", "name", "unit")]
        rows += [(str(k), column["name"], column["unit"]) for k, column in enumerate(own)]
        yield "\n".join([f"{about}: {len(own)} columns", *table(rows)])


def _sizes(written: Sequence[str] | None, images: Sequence[Path] | None) -> list[Size] | None:
    """The sizes of the images that come in; None if nothing says them."""
    sizes = [_size(text) for text in written or ()]
    if images:
        from augspec.preview.pictures import find_files, read_size

        sizes += [read_size(file) for file in find_files(images)]
    return sizes or None


def _size(text: str) -> Size:
    sides = text.lower().split("x")
    if len(sides) in (1, 2) and all(side.isdecimal() and 0 < int(side) < 10**5 for side in sides):
        return int(sides[0]), int(sides[-1])
    raise mistake(f"--size must be a side or HEIGHTxWIDTH in pixels, got {text!r}")
