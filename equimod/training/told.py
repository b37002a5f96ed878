"""Whose augmentations a predictor is told: an image's own, or as a control another image's."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from augspec import Pipeline, sizes_of
from equimod.data import Batch
from equimod.data.draws import partners, permutation


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
