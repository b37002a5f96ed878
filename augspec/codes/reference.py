"""Reference views: the same bits on every machine, thread count, batch and device.

The views that a pipeline renders for training differ in their last bits from one processor to
another: matrix products, convolutions and means add in another order, and a processor without
fused multiply-add rounds twice. Where a threshold then falls between the two results, a pixel
differs visibly. So a record says what *reference views* are:

1. Each sample is rendered by itself, in float64, from its uint8 image and its parameters.
2. After every op, its pixels are rounded to 1/65280: the 256 levels of an 8-bit image, each split
   into 256. So the next op begins from the same bits everywhere, and decides the same.
3. The normalisation comes last, in float64, and the result is rounded to float32.

Step 2 removes the last bits, about 1e-15, unless a pixel lies that close to where rounding changes
its mind. Half-way is where many pixels do lie: means of a few 8-bit levels are fractions with small
denominators. So it is not half-way that decides here but the golden section, the number that
fractions approximate worst.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from augspec.compiler.pipeline import Params, Pipeline
from augspec.compiler.plan import Plan
from augspec.language.spec import Normalize
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Parameters
from augspec.ops.mix import Mix

LEVELS = 255 * 256
"""Into how many parts [0, 1] is divided."""

_DOWN = (3 - math.sqrt(5)) / 2  # what lies less than 1 - 0.38 above a level is rounded down to it


def reference_pixels(
    plan: Plan, image: Tensor, params: Params, device: torch.device | str = "cpu"
) -> dict[str, Tensor]:
    """The views of one sample before they are normalised.

    Args:
        plan: how the views are made.
        image: `(C, H, W)` uint8.
        params: its parameters by view and `op.parameter`, `(1,)` float64 each.
        device: where to render.

    Returns:
        Views `(C, h, w)` by name, float64 on the CPU: multiples of `1 / LEVELS`.
    """
    if image.ndim != 3 or image.shape[0] != plan.channels or image.dtype != torch.uint8:
        raise ValueError(
            f"an image must be ({plan.channels}, H, W) uint8, got {tuple(image.shape)} "
            f"{image.dtype}"
        )
    original = _divided(image[None].to(device).double(), 255)
    found = {}
    with torch.no_grad():
        for name, own in params.items():
            x = original
            for step in plan.view(name).steps:
                values = {p: own[step.key(p)].to(device) for p in step.parameters}
                x = _stepwise(step.op, x, values)
            found[name] = x[0].cpu()
    return found


def reference_views(
    pipeline: Pipeline,
    params: Params,
    images: Sequence[Tensor],
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, str, Tensor, Tensor]]:
    """The reference views of a batch's images, one after the other.

    Args:
        pipeline: whose views these are.
        params: the parameters by view and `op.parameter`, `(B,)` each.
        images: `(C, H, W)` uint8, one for each sample.
        device: where to render.

    Yields:
        The sample's place in the batch, the view's name, and the view `(C, h, w)` before it is
        normalised, float64, and after, float32.
    """
    for k, image in enumerate(images):
        found = reference_pixels(pipeline.plan, image, sample_params(params, k), device)
        for name, pixels in found.items():
            yield k, name, pixels, normalized(pixels, pipeline.plan.normalize)


def _stepwise(op: Op, x: Tensor, params: Parameters) -> Tensor:
    """As `op.apply` for one sample, rounded after each op, those inside a combinator too."""
    if isinstance(op, Mix):
        mean = x
        for k, (_, child, own) in enumerate(op.parts(params), start=1):
            weight = params[f"weight_{k}"].reshape(-1, 1, 1, 1)
            mean = mean + weight * (_stepwise(child, x, own) - x)
        return rounded(mean)
    if isinstance(op, Combinator):
        for _, child, own in op.in_turn(params):
            x = _stepwise(child, x, own)
        return x
    return rounded(op.apply(x, params))


def rounded(pixels: Tensor) -> Tensor:
    """Float64 pixels to the nearest levels but for the golden section; levels stay as they are."""
    return _divided((pixels * LEVELS + _DOWN).floor(), LEVELS)


def _divided(values: Tensor, number: int) -> Tensor:
    # by a tensor: a GPU divides by a plain number by multiplying with its reciprocal
    return values / values.new_full((), number)


def normalized(pixels: Tensor, normalize: Normalize | None) -> Tensor:
    """Views `(C, h, w)` float64 as the spec wants them, float32."""
    if normalize is not None:
        mean, std = (
            # through float32, as the pipeline has them
            torch.tensor(values, dtype=torch.float32).double()[:, None, None]
            for values in (normalize.mean, normalize.std)
        )
        pixels = (pixels - mean) / std
    return pixels.float() + 0.0  # which turns -0.0 into 0.0


def sample_params(params: Params, sample: int) -> dict[str, dict[str, Tensor]]:
    """The parameters of one sample of a batch, `(1,)` each."""
    return {
        view: {name: value[sample : sample + 1] for name, value in own.items()}
        for view, own in params.items()
    }


def digest(pixels: Tensor) -> str:
    """The SHA-256 of an image's or a view's dtype, shape and values, in hexadecimal.

    Args:
        pixels: any shape.
    """
    values = pixels.detach().cpu().contiguous()
    found = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}\n".encode())
    array = values.numpy()
    found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()
