"""Rendering a saved batch again, and comparing it bit by bit with what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.codes.reference import digest, reference_views
from augspec.codes.saved import ExchangeError, SavedBatch


@dataclass(frozen=True, eq=False)
class Replayed:
    """One view of one sample, rendered again.

    Attributes:
        sample: the sample's place in the batch.
        view: the view's name.
        pixels: the reference view `(C, h, w)` before it is normalised, float64.
        values: the reference view `(C, h, w)`, float32.
        equal: whether it is bit-equal to what was recorded; None if nothing was.
        difference: the largest absolute difference from what was recorded; None if the record
            holds digests alone, and they differ.
    """

    sample: int
    view: str
    pixels: Tensor
    values: Tensor
    equal: bool | None
    difference: float | None


def replay(
    saved: SavedBatch,
    images: Sequence[Tensor] | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Replayed]:
    """Renders all views of a saved batch again, sample by sample.

    Args:
        saved: the batch.
        images: `(C, H, W)` uint8, one for each sample; those that the batch holds if None.
        device: where to render.

    Raises:
        ExchangeError: there are no images, some are not those recorded, or the spec no longer fits.
        CodeError: a code is not valid.
    """
    images = saved.images if images is None else images
    if images is None:
        raise ExchangeError("the batch holds no images: give those that it was made of")
    if len(images) != len(saved):
        raise ExchangeError(f"{len(images)} images for {len(saved)} samples")
    for k, image in enumerate(images):
        if image.dtype != torch.uint8 or [*image.shape[-2:]] != saved.sizes[k].tolist():
            height, width = saved.sizes[k].tolist()
            raise ExchangeError(
                f"image {k} should be (C, {height}, {width}) uint8, "
                f"got {tuple(image.shape)} {image.dtype}"
            )
        if saved.image_digests is not None and digest(image) != saved.image_digests[k]:
            raise ExchangeError(f"image {k} is not the one recorded as {saved.names[k]!r}")
    pipeline = saved.pipeline()
    params = pipeline.decode(saved.codes, saved.seeds)
    for k, name, pixels, values in reference_views(pipeline, params, images, device):
        yield Replayed(k, name, pixels, values, *_compared(saved, k, name, values))


def by_digest(saved: SavedBatch, images: Mapping[str, Tensor]) -> list[Tensor]:
    """The images of a batch's samples among some in any order.

    Args:
        saved: a batch.
        images: images by digest.

    Raises:
        ExchangeError: some are missing; all are named.
    """
    if saved.image_digests is None:
        raise ExchangeError("the batch was saved without its images, and cannot tell which fit")
    missing = [
        name
        for name, found in zip(saved.names, saved.image_digests, strict=True)
        if found not in images
    ]
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        raise ExchangeError(f"not among the images given, to the last pixel: {names}")
    return [images[found] for found in saved.image_digests]


def _compared(
    saved: SavedBatch, sample: int, view: str, values: Tensor
) -> tuple[bool | None, float | None]:
    recorded = saved.view_digests.get(view)
    if recorded is None:
        return None, None
    if digest(values) == recorded[sample]:
        return True, 0.0
    if saved.views is None or saved.views[view][sample].shape != values.shape:
        return False, None
    apart = (saved.views[view][sample].double() - values.double()).abs()
    return False, float(apart.max()) if apart.numel() else 0.0
