"""The step of `equimod.training.trainer.Trainer`, timed part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor

import augspec
from augspec import Spec
from equimod.config import RunConfig
from equimod.data import Batch, ImageData, batches, number_of_batches
from equimod.schedule import learning_rate
from equimod.training.learner import Learner
from equimod.training.origin import code_layout
from step_bench.clock import Clock
from step_bench.pair import PairLearner, between, relative_width

Reference = Literal["original", "pair"]

PARTS = {
    "data": "data: the batch from memory, to the device",
    "draw": "augmentation: draw and encode",
    "render": "augmentation: decode and render",
    "relative": "augmentation: relative code",
    "encoder": "encoder, forward",
    "loss": "heads and losses, forward",
    "backward": "backward",
    "optimiser": "optimiser",
    "reading": "losses read by the host",
}
"""The parts of a step in their order, and what they are called in a table."""


@dataclass(frozen=True)
class StepTime:
    """How long one step took.

    Attributes:
        whole: ms by the host's clock, until the host has read the losses.
        parts: ms of each part that the step has; see `PARTS`.
    """

    whole: float
    parts: dict[str, float]


class TimedStep:
    """Trains as the trainer does, without its record and its checkpoints, and times each step.

    Every step sees the next batch of the first epoch.

    Args:
        config: of the arm.
        spec: the augmentations.
        data: the training images, of one size.
        fabric: devices and precision; launched, with one process.
        reference: what EquiMod predicts from, for an arm that has it.

    Raises:
        DataError: the batch does not fit the data.
    """

    def __init__(
        self,
        config: RunConfig,
        spec: Spec,
        data: ImageData,
        fabric: Fabric,
        *,
        reference: Reference = "original",
    ) -> None:
        if data.image_size is None:
            raise ValueError(f"{data.title}: images must have one size")
        self.config, self.fabric, self.size = config, fabric, data.image_size
        self.pair = config.equimod is not None and reference == "pair"
        self.pipeline = augspec.compile(spec, seed=config.seed)
        augmented = config.views.augmented
        if self.pair:
            self.code_dim = relative_width(self.pipeline, self.size, augmented)
            self.learner: Learner = PairLearner.from_config(config, self.code_dim)
        else:
            self.code_dim = code_layout(self.pipeline.plan, config).width
            self.learner = Learner.from_config(config, self.code_dim)
        self.pipeline.to(fabric.device)
        self.optimizer = config.training.optimizer.build(self.learner)
        self.model, self.stepper = fabric.setup(self.learner, self.optimizer)
        self.epoch_steps = number_of_batches(data, config.training.batch_size)
        self.step = 0
        self.encoded = 0
        self.clock = Clock(fabric.device)
        self.learner.encoder.register_forward_hook(self._after_encoder)
        self._batches: Iterator[Batch] = batches(
            data,
            batch_size=config.training.batch_size,
            seed=config.seed,
            epoch=0,
            workers=config.training.workers,
        )

    def _after_encoder(self, _: Any, inputs: tuple[Any, ...], __: Any) -> None:
        self.encoded += len(inputs[0])
        self.clock.end("encoder")

    @property
    def encoder_passes(self) -> float:
        """How many images the encoder has seen for each source image."""
        return self.encoded / (self.step * self.config.training.batch_size)

    def run(self) -> StepTime:
        """Takes one step.

        Raises:
            StopIteration: the data have no further batch.
        """
        self.clock.start()
        began = perf_counter()
        losses = self._losses()
        self.clock.end("loss")
        self.stepper.zero_grad()
        self.fabric.backward(losses["loss"])
        self.clock.end("backward")
        self._set_learning_rate()
        self.stepper.step()
        self.step += 1
        self.learner.method.after_step(self.step / self._total_steps)
        self.clock.end("optimiser")
        torch.stack([*losses.values()]).detach().tolist()  # the trainer records them
        self.clock.end("reading")
        whole = 1e3 * (perf_counter() - began)
        return StepTime(whole, self.clock.read())

    def _losses(self) -> dict[str, Tensor]:
        batch, views = next(self._batches), self.config.views
        images = self.fabric.to_device(batch.images)
        which = (self.fabric.to_device(batch.ids), 0, self.size)
        positions = self.fabric.to_device(batch.positions)
        self.clock.end("data")
        codes = self.pipeline.draw(*which, positions)
        seeds = self.pipeline.seeds(*which, positions)
        self.clock.end("draw")
        original = self.learner.equimod is not None and not self.pair
        wanted = [*views.augmented] + ([views.reference] if original else [])
        codes = {name: codes[name] for name in wanted}
        params = self.pipeline.decode(codes, seeds, strict=None)
        rendered = self.pipeline.apply(images, params)
        self.clock.end("render")
        conditions = [codes[name] for name in views.augmented]
        if self.pair:
            conditions = [between(self.pipeline, params, self.size, views.augmented).code]
            self.clock.end("relative")
        losses: dict[str, Tensor] = self.model(
            rendered.get(views.reference),
            [rendered[name] for name in views.augmented],
            conditions,
        )
        return losses

    @property
    def _total_steps(self) -> int:
        return self.config.training.epochs * self.epoch_steps

    def _set_learning_rate(self) -> None:
        training = self.config.training
        warmup = round(training.warmup_epochs * self.epoch_steps)
        rate = learning_rate(
            self.step, self._total_steps, warmup, training.optimizer.lr, training.final_lr
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
