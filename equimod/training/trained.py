"""Reading a trained arm back from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

import augspec
from augspec import Layout, Spec
from equimod.config import RunConfig
from equimod.data import ImageData, number_of_batches
from equimod.training.checkpoint import CheckpointError, load_checkpoint, restore_learner
from equimod.training.keep import LAST, checkpoint_file
from equimod.training.learner import Learner
from equimod.training.origin import code_layout, require_same_origin


def trained_learner(
    config: RunConfig,
    spec: Spec,
    data: ImageData,
    folder: Path,
    device: torch.device,
    *,
    reads: Layout | None = None,
    renames: Mapping[str, str] | None = None,
    checkpoint: str = LAST,
) -> tuple[Learner, float]:
    """Reads a trained arm back.

    To use its head with other augmentations, name the layout of their codes: the head's weights are
    found by the names of the slots, where that is exact (see `augspec.SlotMap.columns`). To train
    on, the layout must be the one of the start.

    Args:
        config: of the arm.
        spec: the augmentations with which it was trained.
        data: the training images.
        folder: where the arm's checkpoint is.
        device: where its modules go.
        reads: the layout of the codes that its head shall read; as trained if None.
        renames: ids of ops in `reads` by those in `spec`, where they are not the same.
        checkpoint: which of the arm's checkpoints, such as `best`.

    Returns:
        Its modules, and the images per second of its training.

    Raises:
        CheckpointError: there is no checkpoint in `folder`, or a damaged one, or one of another
            run, or one of a training that has not come to its end.
        LayoutMismatchError: it was trained on codes of another layout than those of `spec`, or its
            head cannot read those of `reads`; the message lists what differs.
    """
    path = checkpoint_file(folder, checkpoint)
    found = load_checkpoint(path)
    header, plan = found.header, augspec.make_plan(spec)
    require_same_origin(header, config, plan, data, path)
    training = config.training
    total = training.epochs * number_of_batches(data, training.batch_size)
    if checkpoint == LAST and header["step"] < total:
        message = f"{path} is of step {header['step']} of {total}: train to the end first"
        raise CheckpointError(message)
    layout = code_layout(plan, config)
    learner = Learner.from_config(config, layout.width, plan)
    restore_learner(learner, found, path)
    if reads is not None and learner.equimod is not None:
        slots = augspec.slot_map(layout, reads, renames)
        learner.equimod = learner.equimod.reading(slots, f"checkpoint {path}")
    speed = header["step"] * training.batch_size / header["seconds"] if header["seconds"] else 0.0
    return learner.to(device), speed
