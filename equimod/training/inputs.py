"""What a learner sees of a batch: its views, rendered, and what is told of their augmentations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from augspec import Pipeline, sizes_of
from equimod.baselines import vectors
from equimod.codes import CodeReader
from equimod.config import RunConfig
from equimod.data import Batch
from equimod.evaluation.images import Images
from equimod.training.told import codes_told


class Inputs(NamedTuple):
    """The arguments of `Learner.forward`, in order."""

    reference: Tensor | None
    """x0 `(N, C, H, W)`, where it is needed."""
    views: list[Tensor]
    """x1 and x2, `(N, C, H, W)` each."""
    codes: list[Tensor]
    """What the predictor or the neighbour reads of x1 and x2, `(N, E)` each."""
    crops: list[Tensor]
    """Local crops, `(N, C, h, w)` each."""
    extra: list[Tensor]
    """The views that a neighbour needs besides."""


def render(
    config: RunConfig,
    pipeline: Pipeline,
    reader: CodeReader | None,
    batch: Batch,
    epoch: int,
    *,
    count: int,
    with_reference: bool,
    device: torch.device,
) -> Inputs:
    """Draws and renders the views of a batch, a function of the seed, the epoch and the ids.

    Args:
        config: of the arm.
        pipeline: what draws and renders, on `device`.
        reader: what EquiMod's predictor reads of codes; None without EquiMod.
        batch: the samples.
        epoch: of the training.
        count: how many samples the data set has.
        with_reference: whether to render the reference, too.
        device: where to.
    """
    images: Images = move_data_to_device(batch.images, device)
    views, neighbour = config.views, config.neighbour
    sizes = sizes_of(batch.images)
    which = (move_data_to_device(batch.ids, device), epoch, sizes)
    positions = move_data_to_device(batch.positions, device)
    codes = pipeline.draw(*which, positions)
    seeds = pipeline.seeds(*which, positions)
    extra = () if neighbour is None else neighbour.extra_views
    wanted = [*views.augmented, *views.local, *extra]
    wanted += [views.reference] if with_reference else []
    codes = {name: codes[name] for name in wanted}
    params = pipeline.decode(codes, seeds, strict=None)
    rendered = pipeline.apply(images, params)
    read = [codes[name] for name in views.augmented]
    if reader is not None:
        told = codes_told(config, pipeline, batch, codes, count, epoch)
        read = reader.batch(told, sizes, images)
    if neighbour is not None:
        read = [*vectors(neighbour.reads, pipeline, params, sizes, views.augmented, images)]
    return Inputs(
        rendered.get(views.reference),
        [rendered[name] for name in views.augmented],
        read,
        [rendered[name] for name in views.local],
        [rendered[name] for name in extra],
    )
