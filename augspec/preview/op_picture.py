"""What one op does: several draws, and each parameter over its range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

from augspec.compiler.describe import summary
from augspec.compiler.flow import flow
from augspec.compiler.plan import Plan, make_plan
from augspec.language.spec import Spec
from augspec.ops.contract import Op
from augspec.preview.pictures import Picture, built_in
from augspec.preview.samples import Sample, preview
from augspec.preview.sheet import stacked, titled
from augspec.preview.sweep import Strip, find, strip_image, sweep

_COUNT = 7
_SIDE = 176
_MOST_SWEEPS = 12
_VIEW = "view"


def op_picture(op: type[Op], example: Mapping[str, Any]) -> Image.Image:
    """Draws of an op on the built-in scene, and a sweep over each parameter.

    Args:
        op: the op.
        example: how it is written, such as `{"op": "rotate", "degrees": [-30, 30]}`.
    """
    size = (192, 192)
    view = {"ops": [dict(example)]}
    spec = Spec.model_validate(
        {"version": 1, "name": op.tag(), "image": {"size": size}, "views": {_VIEW: view}}
    )
    picture, plan = built_in(size), make_plan(spec)
    parts = [strip_image(_draws(spec, picture), _SIDE, f"draws of {flow(dict(example))}")]
    parts += [strip_image(strip, _SIDE, label) for label, strip in _sweeps(plan, picture)]
    wide = max(part.width for part in parts)
    return stacked([titled(op.tag(), summary(op), wide), *parts], wide)


def _draws(spec: Spec, picture: Picture) -> Strip:
    rows = preview(spec, [picture], rows=_COUNT - 1).rows
    samples = [row.samples[0] for row in rows]
    views = (picture.image, *(sample.image for sample in samples))
    return Strip(picture, views, ("the image", *map(_words, samples)), "")


def _words(sample: Sample) -> str:
    """What a draw does; the op itself needs no name, and those inside a combinator do."""
    if not sample.acts:
        return "not changed"
    parts = ((path.partition(".")[2], values) for path, values in sample.acts)
    return "; ".join(" ".join(filter(None, part)) for part in parts)


def _sweeps(plan: Plan, picture: Picture) -> Iterator[tuple[str, Strip]]:
    (view,) = plan.views
    (step,) = view.steps
    varied = [p for p in step.op.parameters() if p.acts and (p.low is None or p.low != p.high)]
    for parameter in varied[:_MOST_SWEEPS]:
        swept = find(plan, f"{_VIEW}.{step.key(parameter.name)}")
        strip = sweep(plan, swept, picture, steps=_COUNT)
        around = "" if strip.around.endswith("identity") else f", {strip.around}"
        yield f"{parameter.name} ({parameter.unit}){around}", strip
