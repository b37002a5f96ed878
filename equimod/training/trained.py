"""Reading a trained arm back from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

import augspec
from augspec import Spec
from equimod.config import RunConfig
from equimod.data import ImageData, number_of_batches
from equimod.training.checkpoint import (
    CHECKPOINT,
    CheckpointError,
    load_checkpoint,
    restore_learner,
)
from equimod.training.learner import Learner
from equimod.training.origin import code_layout, require_same_origin


def trained_learner(
    config: RunConfig, spec: Spec, data: ImageData, folder: Path, device: torch.device
) -> tuple[Learner, float]:
    """Reads a trained arm back.

    Args:
        config: of the arm.
        spec: the augmentations.
        data: the training images.
        folder: where the arm's checkpoint is.
        device: where its modules go.

    Returns:
        Its modules, and the images per second of its training.

    Raises:
        CheckpointError: there is no checkpoint in `folder`, or a damaged one, or one of another
            run, or one of a training that has not come to its end.
        LayoutMismatchError: it was trained on codes of another layout.
    """
    path = folder / CHECKPOINT
    checkpoint = load_checkpoint(path)
    header, plan = checkpoint.header, augspec.make_plan(spec)
    require_same_origin(header, config, plan, data, path)
    training = config.training
    total = training.epochs * number_of_batches(data, training.batch_size)
    if header["step"] < total:
        message = f"{path} is of step {header['step']} of {total}: train to the end first"
        raise CheckpointError(message)
    learner = Learner.from_config(config, code_layout(plan, config).width)
    restore_learner(learner, checkpoint, path)
    speed = header["step"] * training.batch_size / header["seconds"] if header["seconds"] else 0.0
    return learner.to(device), speed
