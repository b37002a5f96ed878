"""kornia as people write it: one `nn.Sequential` of augmentations, called once for each view.

The pattern of kornia's own documentation (kornia.readthedocs.io, "Image augmentation") and of the
self-supervised code that uses kornia: images as float in [0, 1], defaults kept. What the defaults
mean here, so that the comparison can be judged:

- crops are bilinear without antialiasing, and the recipe's are bicubic with it;
- the order of the colour jitter is drawn once for the batch, not for each sample;
- a sample that is gated off is computed all the same, and then replaced.

It needs images of one size. Of photographs it therefore gets what data loaders give it, the shorter
side resized to 256 and the central 256 x 256 square, and never sees the rest of their pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline_bench.contestant import Contestant, Job, Prepared, parallel
from pipeline_bench.workloads import Recipe, decoded, square

SQUARE = 256
"""Side of the square that photographs become, pixels."""


def as_written(recipe: Recipe) -> nn.Sequential:
    """The augmentations of one view, in the recipe's order."""
    import kornia.augmentation as K

    steps: list[nn.Module] = [
        K.RandomResizedCrop((recipe.size, recipe.size), recipe.area, recipe.aspect),
        K.RandomHorizontalFlip(p=recipe.flip),
        K.ColorJitter(
            recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue, p=recipe.jitter
        ),
        K.RandomGrayscale(p=recipe.grayscale),
    ]
    if recipe.blur:
        steps.append(
            K.RandomGaussianBlur((recipe.kernel, recipe.kernel), recipe.sigma, p=recipe.blur)
        )
    steps.append(K.Normalize(torch.tensor(recipe.mean), torch.tensor(recipe.std)))
    return nn.Sequential(*steps)


def source(job: Job) -> tuple[Callable[[], Tensor], Callable[[], None]]:
    """A call that gives the batch, uint8 `(B, 3, H, W)`, and one that ends what it uses."""
    if isinstance(job.images, Tensor):
        images = job.images
        return (lambda: images), (lambda: None)
    files, pool = job.images, parallel(job.threads)

    def load(file: bytes) -> Tensor:
        return square(decoded(file), SQUARE)

    return (lambda: torch.stack(list(pool.map(load, files))).to(job.device)), pool.shutdown


def prepare(job: Job) -> Prepared:
    """Both views of the float images, by the same module."""
    augment = as_written(job.workload.recipe()).to(job.device)
    images, close = source(job)

    def views() -> tuple[Tensor, Tensor]:
        x = images().float() / 255
        return augment(x), augment(x)

    note = f"from {SQUARE} x {SQUARE} squares" if job.workload.ragged else ""
    return Prepared(views, note=note, close=close)


CONTESTANTS = (Contestant("kornia", "kornia, as written", prepare),)
