"""albumentations, one sample at a time, on uint8 arrays `(H, W, 3)` as OpenCV decodes them.

The form of its documentation (albumentations.ai, "Image classification"): one `Compose` that ends
in `Normalize` and `ToTensorV2`. OpenCV's own threads are off in the workers, as its documentation
asks for beside a data loader. Its views differ from the recipe's: bicubic crops have no
antialiasing, and the arithmetic is in uint8 and by tables.

The package is `albumentations` 2.0.8, the last release under the MIT licence; its successor
`albumentationsx` is under AGPL-3.0 and is not measured.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from pipeline_bench.contestant import Contestant, Job, Prepared
from pipeline_bench.per_sample import TwoViews
from pipeline_bench.per_sample import prepare as prepare_per_sample
from pipeline_bench.workloads import Recipe


def two_views(recipe: Recipe) -> TwoViews:
    """The transform of an array uint8 `(H, W, 3)`, or of a JPEG file, which is decoded once."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # importing it would ask the network for news
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    cv2.setNumThreads(0)
    steps: list[Any] = [
        A.RandomResizedCrop(
            (recipe.size, recipe.size),
            scale=recipe.area,
            ratio=recipe.aspect,
            interpolation=cv2.INTER_CUBIC,
        ),
        A.HorizontalFlip(p=recipe.flip),
        A.ColorJitter(
            recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue, p=recipe.jitter
        ),
        A.ToGray(p=recipe.grayscale),
    ]
    if recipe.blur:
        window = (recipe.kernel, recipe.kernel)
        steps.append(A.GaussianBlur(blur_limit=window, sigma_limit=recipe.sigma, p=recipe.blur))
    steps += [A.Normalize(recipe.mean, recipe.std), ToTensorV2()]
    transform = A.Compose(steps)

    def both(sample: np.ndarray | bytes) -> tuple[Tensor, Tensor]:
        if isinstance(sample, bytes):
            sample = cv2.imdecode(np.frombuffer(sample, np.uint8), cv2.IMREAD_COLOR_RGB)
        return transform(image=sample)["image"], transform(image=sample)["image"]

    return both


def prepare(job: Job) -> Prepared:
    """Arrays, or JPEG files, one by one."""
    samples: list[Any] = list(job.images)
    if not job.workload.ragged:
        samples = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in samples]
    return prepare_per_sample(job, samples, partial(two_views, job.workload.recipe()))


CONTESTANTS = (
    Contestant(
        "albumentations",
        "albumentations, per sample",
        prepare,
        modules=("albumentations", "cv2"),
        devices=("cpu",),
    ),
)
