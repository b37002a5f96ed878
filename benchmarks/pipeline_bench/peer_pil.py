"""torchvision v1 on PIL images, one sample at a time, as the published recipes run it.

`TwoCropsTransform`, `RandomApply([ColorJitter], p=0.8)`, `RandomGrayscale`, `ToTensor`, `Normalize`
are what MoCo v2 (github.com/facebookresearch/moco, main_moco.py), SimSiam, Barlow Twins and VICReg
release; their blur is PIL's `ImageFilter.GaussianBlur` with the drawn sigma as radius, which
approximates a Gaussian by box filters and is faster than the recipe's 23 x 23 window. Images are
PIL images already where the source is a tensor, and are decoded by PIL where it is JPEG.
"""

from __future__ import annotations

import io
import random
from functools import partial
from typing import Any

from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms as T

from pipeline_bench.contestant import Contestant, Job, Prepared
from pipeline_bench.per_sample import TwoViews
from pipeline_bench.per_sample import prepare as prepare_per_sample
from pipeline_bench.workloads import Recipe


class Blur:
    """PIL's blur, with a radius drawn uniformly.

    Args:
        sigma: range of the radius, pixels.
    """

    def __init__(self, sigma: tuple[float, float]) -> None:
        self.sigma = sigma

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image, blurred."""
        return image.filter(ImageFilter.GaussianBlur(random.uniform(*self.sigma)))


def two_views(recipe: Recipe) -> TwoViews:
    """The transform of a PIL image, or of a JPEG file, which is decoded once."""
    steps: list[Any] = [
        T.RandomResizedCrop(
            recipe.size, recipe.area, recipe.aspect, interpolation=T.InterpolationMode.BICUBIC
        ),
        T.RandomHorizontalFlip(recipe.flip),
        T.RandomApply(
            [T.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)],
            recipe.jitter,
        ),
        T.RandomGrayscale(recipe.grayscale),
    ]
    if recipe.blur:
        steps.append(T.RandomApply([Blur(recipe.sigma)], recipe.blur))
    steps += [T.ToTensor(), T.Normalize(recipe.mean, recipe.std)]
    transform = T.Compose(steps)

    def both(sample: Image.Image | bytes) -> tuple[Tensor, Tensor]:
        if isinstance(sample, bytes):
            sample = Image.open(io.BytesIO(sample)).convert("RGB")
        return transform(sample), transform(sample)

    return both


def prepare(job: Job) -> Prepared:
    """PIL images, or JPEG files, one by one."""
    samples: list[Any] = list(job.images)
    if not job.workload.ragged:
        samples = [T.functional.to_pil_image(image) for image in samples]
    return prepare_per_sample(job, samples, partial(two_views, job.workload.recipe()))


CONTESTANTS = (Contestant("pil", "torchvision v1 on PIL, per sample", prepare, devices=("cpu",)),)
