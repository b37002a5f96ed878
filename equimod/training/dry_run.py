"""A run, checked before there is data or a GPU: every arm is built and takes a step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment

import augspec
from augspec import Spec
from equimod.config import Run, RunConfig
from equimod.data import DataError, ImageData, batches
from equimod.data.base import CHANNELS
from equimod.training.devices import PRECISIONS
from equimod.training.dry_data import random_images
from equimod.training.dry_steps import OneStep
from equimod.training.inputs import Inputs, render
from equimod.training.interrupt import StopFlag
from equimod.training.learner import Learner
from equimod.training.origin import code_layout, code_reader
from equimod.training.require import require_equal_shares
from equimod.training.schedule_points import SchedulePoints, schedule_points
from equimod.training.step_memory import StepMemory, hollow, step_memory, watched_widths
from equimod.training.trainer import Trainer

BYTES_OF_A_REAL_STEP = 2**27
"""What the views of a step of few images may take for it to be taken in earnest, which then lasts
seconds on a CPU: computing grows with it."""


VISIBLE = "CUDA_VISIBLE_DEVICES"


class DryRunError(ValueError):
    """An arm cannot be built, or cannot take a step."""


@dataclass(frozen=True)
class ArmCheck:
    """What was found of one arm.

    Attributes:
        name: of the arm.
        encoder: parameters of the encoder.
        heads: trainable parameters of everything else.
        target: parameters of a target network, which are not trained.
        views: `(H, W)` of the views that a step renders, by name.
        code: the width of what a predictor or a neighbour reads of a view; None without.
        widths: the width of the encoder's features and of what the projectors give, by module.
        batch: images in a step.
        process_batch: images of one process.
        points: the steps, and what changes with them.
        memory: of a step of one process.
        loss: of a real step on a few random images; None where none was taken.
    """

    name: str
    encoder: int
    heads: int
    target: int
    views: dict[str, tuple[int, int]]
    code: int | None
    widths: dict[str, int]
    batch: int
    process_batch: int
    points: SchedulePoints
    memory: StepMemory
    loss: float | None


def check_run(run: Run, images: int | None = None) -> Iterator[ArmCheck]:
    """Checks all arms of a run, one after the other.

    Args:
        run: the run.
        images: how many images the train split has; None for what the configuration tells.

    Raises:
        DataError: the batch does not fit the number of images or processes, or the augmentations do
            not fit the images.
        DryRunError: an arm cannot be built, or cannot take a step.
    """
    fabric = Fabric(
        accelerator="cpu",
        devices=1,
        precision=PRECISIONS[run.shared.training.precision],  # type: ignore[arg-type]
        plugins=[LightningEnvironment()],
    )
    for name, config in run.arms.items():
        where = f"run {run.name!r}, arm {name!r}"
        try:
            with _without_gpus():
                found = _check_arm(name, config, run.spec, images, fabric)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        except (ValueError, RuntimeError, FloatingPointError) as error:
            raise DryRunError(f"{where}: {error}") from error
        yield found


@contextmanager
def _without_gpus() -> Iterator[None]:
    """Hides GPUs, for which torch would look before every operation without data."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ""
    try:
        yield
    finally:
        del os.environ[VISIBLE]
        if before is not None:
            os.environ[VISIBLE] = before


def _check_arm(
    name: str, config: RunConfig, spec: Spec, images: int | None, fabric: Fabric
) -> ArmCheck:
    training = config.training
    known = config.data.known()
    images = known.images if images is None else images
    images = None if images is None else images - config.held_out
    processes = training.devices * training.nodes
    require_equal_shares(training.batch_size, processes)
    _require_a_batch(training.batch_size, images)
    process_batch = training.batch_size // processes
    few = _of_few_images(config)
    data = random_images(spec, known, few.training.batch_size)
    Trainer.check(few, spec, data, None)
    around = (few, spec, data, Path("/dev/null"), fabric, StopFlag())
    plan = augspec.make_plan(spec)
    width = code_layout(plan, config).width
    learner, mode = hollow(lambda: Learner.from_config(config, width, plan))
    inputs = _inputs(few, spec, data, learner)
    views = _views(config, inputs)
    with watched_widths(learner) as widths:
        memory = step_memory(
            learner,
            mode,
            learner.build_optimizer(training.optimizer),
            inputs,
            rows=process_batch,
            source_bytes=int(data.sizes.prod(dim=1).double().mean()) * CHANNELS,
            autocast=fabric.autocast,
        )
    loss = None
    if memory.rest * len(data) <= BYTES_OF_A_REAL_STEP * process_batch:
        loss = OneStep(*around).real_loss()
    encoder = sum(p.numel() for p in learner.encoder.parameters())
    trained = sum(p.numel() for p in learner.parameters() if p.requires_grad)
    reads = config.equimod is not None or config.neighbour is not None
    return ArmCheck(
        name=name,
        encoder=encoder,
        heads=trained - encoder,
        target=sum(p.numel() for p in learner.parameters()) - trained,
        views=views,
        code=(inputs.codes[0].shape[1] or None) if reads else None,
        widths=widths,
        batch=training.batch_size,
        process_batch=process_batch,
        points=schedule_points(config, images),
        memory=memory.shared(processes, training.strategy),
        loss=loss,
    )


def _require_a_batch(batch: int, images: int | None) -> None:
    """That an epoch has a step.

    Raises:
        DataError: it has none.
    """
    if images is not None and batch > images:
        message = f"training.batch_size is {batch}, more than the {images:,} images, so an epoch"
        raise DataError(f"{message} would have no step; choose at most {images}")


def _of_few_images(config: RunConfig) -> RunConfig:
    """The arm with as small a batch as it takes, in one process; an epoch is one step."""
    together = config.neighbour.shared[1] if config.neighbour is not None else 1
    changes = {"batch_size": max(2, together), "epochs": max(1, config.training.epochs)}
    changes |= {"devices": 1, "nodes": 1, "workers": 0}
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _inputs(config: RunConfig, spec: Spec, data: ImageData, learner: Learner) -> Inputs:
    """What a learner sees of all images, which are one batch."""
    pipeline = augspec.compile(spec, seed=config.seed)
    return render(
        config,
        pipeline,
        code_reader(pipeline, config),
        next(iter(batches(data, batch_size=len(data), seed=config.seed, epoch=0))),
        epoch=0,
        count=len(data),
        with_reference=learner.needs_reference,
        device=torch.device("cpu"),
    )


def _views(config: RunConfig, inputs: Inputs) -> dict[str, tuple[int, int]]:
    """Height and width of each view, by its name."""
    names = [*config.views.augmented, *config.views.local]
    names += config.neighbour.extra_views if config.neighbour is not None else ()
    shown = dict(zip(names, [*inputs.views, *inputs.crops, *inputs.extra], strict=True))
    if inputs.reference is not None:
        shown = {config.views.reference: inputs.reference, **shown}
    return {name: (x.shape[-2], x.shape[-1]) for name, x in shown.items()}
