"""What a predictor is told in training: scaled how, and whose augmentations.

As a control, another image's.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from augspec import Pipeline, Spec, sizes_of
from equimod.baselines import OF_ONE_SIZE
from equimod.codes import CodeReader
from equimod.config import RunConfig
from equimod.data import Batch, DataError, ImageData
from equimod.data.draws import partners, permutation
from equimod.module import EquiMod


def scale_codes(
    head: EquiMod | None, reader: CodeReader | None, spec: Spec, data: ImageData
) -> None:
    """Sets how the head scales what it reads, if it does: where a training begins.

    Raises:
        CodesError: no scale follows from the spec; see `require_sizes`.
    """
    if head is None or head.scaling is None or reader is None:
        return
    from_identity = head.predictor.from_identity
    head.scaling.set(*reader.scaling(spec, data.image_size, from_identity=from_identity))


def require_sizes(config: RunConfig, spec: Spec, data: ImageData) -> None:
    """Checks that what the predictor or a neighbour is told can be had of images of these sizes.

    Raises:
        DataError: images differ in size where they must not.
    """
    if data.image_size is not None:
        return
    neighbour, equimod = config.neighbour, config.equimod
    if neighbour is not None and neighbour.reads in OF_ONE_SIZE:
        message = (
            f"neighbour {neighbour.name!r} needs images of one size, and the data have several"
        )
        raise DataError(f"{message} (set data.size to a number): {data.describe()}")
    if equimod is None:
        return
    if equimod.reference == "pair":
        message = "equimod.reference=pair needs images of one size, and the data have several"
        raise DataError(f"{message}: {data.describe()}")
    if equimod.scaled and spec.input_size is None:
        message = "codes are scaled by moments that depend on the size of the images, and the data "
        message += "have several: give `image.size` in the augmentation spec"
        raise DataError(f"{message}: {data.describe()}")


def codes_told(
    config: RunConfig,
    pipeline: Pipeline,
    batch: Batch,
    own: dict[str, Tensor],
    count: int,
    epoch: int,
) -> dict[str, Tensor]:
    """The canonical codes that the predictor is told: those of the views, but for a control.

    Args:
        config: of the arm.
        pipeline: what draws.
        batch: the samples.
        own: the codes of their views, `(B, C)` by view.
        count: how many samples the data set has.
        epoch: of the training.
    """
    if config.equimod is None or config.equimod.control != "shuffled_codes":
        return own
    device = next(iter(own.values())).device
    return codes_of_others(pipeline, batch, count, seed=config.seed, epoch=epoch, device=device)


def codes_of_others(
    pipeline: Pipeline,
    batch: Batch,
    count: int,
    *,
    seed: int,
    epoch: int,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """The canonical codes that other samples of the data set have in this epoch.

    Every sample has one partner, which is never itself and has no other: a function of seed, epoch
    and id alone, so that it does not depend on batches or on the number of processes. Draws are
    functions of ids, too, so that the partner need not be at hand; where a draw depends on the
    size of an image, it is made as if the partner's image had this one's.

    Args:
        pipeline: what draws.
        batch: the samples that are to get others' codes.
        count: how many samples the data set has.
        seed: of the run.
        epoch: of the training.
        device: where to draw.

    Returns:
        Codes `(B, C)` by view.
    """
    others, places = _circle(count, seed, epoch)
    ids = others[batch.ids.cpu()]
    size = sizes_of(batch.images)
    size = size.to(device) if isinstance(size, Tensor) else size
    drawn: dict[str, Tensor] = pipeline.draw(ids.to(device), epoch, size, places[ids].to(device))
    return drawn


@lru_cache(maxsize=1)
def _circle(count: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """Each sample's partner, and each sample's place in the order of the epoch, by id."""
    order = permutation(count, seed=seed, epoch=epoch)
    places = torch.empty_like(order)
    places[order] = torch.arange(count)
    return partners(count, seed=seed, epoch=epoch), places
