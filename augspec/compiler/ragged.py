"""Images of different sizes, rendered one by one until a view gives them one size.

This is the reference: whole images in torch's own operations, differentiable, on any device.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from augspec.compiler.eager import unit_range
from augspec.compiler.plan import ViewPlan
from augspec.kernels.ragged import Ragged
from augspec.ops.sizes import common, leaving


def render_ragged(view: ViewPlan, images: Ragged, params: Mapping[str, Tensor]) -> Tensor:
    """Renders one view of a ragged batch, differentiably in pixels and parameters.

    Args:
        view: what to render; it is not normalised.
        images: the images.
        params: the view's parameters by `op.parameter`, `(B,)` each.

    Returns:
        `(B, C, H, W)`, float32, or float64 where the pixels are.

    Raises:
        KeyError: a parameter is missing.
        ValueError: the view leaves the images in different sizes, the pixels are neither uint8
            nor floating point, or parameters are not `(B,)`.
    """
    alone = steps_alone(view, images.sizes)
    own = [step.own(params) for step in view.steps]
    for step, values in zip(view.steps, own, strict=True):
        for name, value in values.items():
            if value.shape != (len(images),):
                raise ValueError(
                    f"parameter {step.key(name)!r} must be ({len(images)},), one number for each "
                    f"image, got {tuple(value.shape)}"
                )
    rows = []
    for index, image in enumerate(images.images()):
        x = unit_range(image)[None]
        for step, values in zip(view.steps[:alone], own, strict=False):
            row = {name: value[index : index + 1] for name, value in values.items()}
            x = step.op.apply(x, row)
        rows.append(x)
    x = torch.cat(rows)
    for step, values in zip(view.steps[alone:], own[alone:], strict=True):
        x = step.op.apply(x, values)
    return x


def steps_alone(view: ViewPlan, sizes: Tensor) -> int:
    """How many steps of a view come before all images have one size.

    Args:
        view: the view.
        sizes: `(B, 2)` int64, height and width of the images.

    Raises:
        ValueError: they never have.
    """
    at = common(sizes)
    for number, step in enumerate(view.steps):
        if isinstance(at, tuple):
            return number
        at = leaving(step.op, at)
    if isinstance(at, tuple):
        return len(view.steps)
    (height, width), (other_height, other_width) = at.unique(dim=0)[[0, -1]].tolist()
    raise ValueError(
        f"view {view.name!r} leaves the images in different sizes, such as {height}x{width} and "
        f"{other_height}x{other_width}; give it an op that decides the size, such as "
        "`resized_crop`, `center_crop` or `resize` with two numbers"
    )
