"""torchvision v2, one sample at a time: each call of a transform draws one set of parameters.

The form that torchvision recommends (pytorch.org/vision, "Transforming and augmenting images",
"Performance considerations"): uint8 tensors until the end, antialiased resizing, then `ToDtype`
with `scale=True` and `Normalize`. A batch given at once would share one draw, so that a loop is the
only way to a draw for each sample. Crops have the recipe's pixels: bicubic, antialiased, and from
the photograph's own pixels where the source is JPEG.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from pipeline_bench.contestant import Contestant, Job, Prepared
from pipeline_bench.per_sample import TwoViews, loop
from pipeline_bench.per_sample import prepare as prepare_per_sample
from pipeline_bench.workloads import Recipe, decoded


def two_views(recipe: Recipe, device: torch.device) -> TwoViews:
    """The transform of a tensor uint8 `(3, H, W)`, or of a JPEG file, which is decoded once."""
    from torchvision.transforms import v2

    steps = [
        v2.RandomResizedCrop(
            recipe.size,
            recipe.area,
            recipe.aspect,
            interpolation=v2.InterpolationMode.BICUBIC,
            antialias=True,
        ),
        v2.RandomHorizontalFlip(recipe.flip),
        v2.RandomApply(
            [v2.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)],
            recipe.jitter,
        ),
        v2.RandomGrayscale(recipe.grayscale),
    ]
    if recipe.blur:
        steps.append(v2.RandomApply([v2.GaussianBlur(recipe.kernel, recipe.sigma)], recipe.blur))
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(recipe.mean, recipe.std)]
    transform = v2.Compose(steps)

    def both(sample: Tensor | bytes) -> tuple[Tensor, Tensor]:
        image = decoded(sample).to(device) if isinstance(sample, bytes) else sample
        return transform(image), transform(image)

    return both


def prepare(job: Job) -> Prepared:
    """Tensors, or JPEG files, one by one."""
    make = partial(two_views, job.workload.recipe(), job.device)
    return prepare_per_sample(job, list(job.images), make)


def prepare_loop(job: Job) -> Prepared:
    """The same, without a loader's workers."""
    make = partial(two_views, job.workload.recipe(), job.device)
    return loop(job, list(job.images), make)


CONTESTANTS = (
    Contestant("torchvision", "torchvision v2, per sample", prepare),
    Contestant("torchvision-loop", "torchvision v2, a plain loop", prepare_loop, devices=("cpu",)),
)
