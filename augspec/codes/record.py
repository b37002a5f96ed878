"""Making the record of a batch: what was drawn, and the digests of what it is rendered into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from augspec.codes.reference import digest, reference_views
from augspec.codes.saved import SavedBatch
from augspec.compiler.draws import draw_codes
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import make_plan
from augspec.language.spec import Spec


def draw_batch(
    spec: Spec, images: Sequence[Tensor], *, seed: int, epoch: int, names: Sequence[str]
) -> SavedBatch:
    """Draws for images that may have different sizes; the ids are their places in the list.

    Args:
        spec: the spec.
        images: `(C, H, W)` uint8 each.
        seed: of the draws.
        epoch: of the draws.
        names: what each image is called.

    Returns:
        The batch without images and digests, see `rendered`.
    """
    pipeline = Pipeline(make_plan(spec), seed=seed)
    ids = torch.arange(len(images))
    sizes = torch.tensor([image.shape[-2:] for image in images], dtype=torch.int64).reshape(-1, 2)
    codes, seeds = draw_codes(pipeline.plan, seed, ids, epoch, sizes)
    return SavedBatch(
        spec=spec,
        plan=pipeline.plan.hash,
        seed=seed,
        epoch=epoch,
        layouts=pipeline.layouts,
        ids=ids,
        sizes=sizes,
        codes=codes,
        seeds=seeds,
        # a file's name need not be text
        names=tuple(name.encode(errors="replace").decode() for name in names),
    )


def rendered(
    saved: SavedBatch, images: Sequence[Tensor], *, keep_images: bool, keep_views: bool
) -> SavedBatch:
    """The batch with the digests of its images and of its reference views.

    Args:
        saved: a batch.
        images: `(C, H, W)` uint8, one for each sample.
        keep_images: whether it holds the images too.
        keep_views: whether it holds the views too.

    Raises:
        ValueError: images that are not uint8, too few of them, or some of another size.
    """
    if len(images) != len(saved):
        raise ValueError(f"{len(images)} images for {len(saved)} samples")
    for k, image in enumerate(images):
        if image.dtype != torch.uint8:
            raise ValueError(f"images must be uint8 to be the same anywhere, got {image.dtype}")
        if [*image.shape[-2:]] != saved.sizes[k].tolist():
            size, meant = tuple(image.shape[-2:]), tuple(saved.sizes[k].tolist())
            raise ValueError(f"image {k} is {size}, and the codes were drawn for {meant}")
    pipeline = saved.pipeline()
    params = pipeline.decode(saved.codes, saved.seeds)
    views: dict[str, list[Tensor]] = {name: [] for name in saved.layouts}
    found: dict[str, list[str]] = {name: [] for name in saved.layouts}
    for _, name, _, view in reference_views(pipeline, params, images):
        found[name].append(digest(view))
        if keep_views:
            views[name].append(view)
    return replace(
        saved,
        image_digests=tuple(digest(image) for image in images),
        view_digests={name: tuple(own) for name, own in found.items()},
        images=tuple(image.cpu() for image in images) if keep_images else None,
        views={name: tuple(own) for name, own in views.items()} if keep_views else None,
    )
