"""Training one arm: the loop, its checkpoints and its record."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

import augspec
from augspec import Spec
from equimod.config import RunConfig
from equimod.data import (
    Batch,
    CorruptReport,
    ImageData,
    batches,
    number_of_batches,
    require_one_size,
)
from equimod.optim import set_rate
from equimod.sync_batch_norm import synchronised
from equimod.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    learner_tensors,
    optimizer_state,
    restore_learner,
    restore_optimizer,
    save_checkpoint,
)
from equimod.training.inputs import render
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.keep import (
    BEST,
    epoch_name,
    keep,
    keep_missing,
    newest_header,
    newest_whole,
)
from equimod.training.learner import Learner
from equimod.training.metrics import MetricsLog
from equimod.training.origin import code_layout, code_reader, origin, require_same_origin
from equimod.training.sharding import is_sharded, own, share_statistics, whole
from equimod.training.told import require_sizes, scale_codes

LOSSES = {"loss": "total"} | {k: k for k in ("invariance", "equivariance", "neighbour")}

REMEDY = "try a lower learning rate or a longer warm-up"

SAVES = "checkpoints.jsonl"
"""The file in an arm's folder that tells how long each checkpoint took to write, and its size."""

Progress = Callable[[int, int, dict[str, float]], None]
"""Told after each step: steps done, steps in all, the values shown beside the bar."""

Validate = Callable[[Learner], dict[str, float]]
"""Measures the modules during training."""


class Trainer:
    """Trains one arm, from its checkpoint if there is one.

    A step is a pure function of the state after the step before it: the order of the images, the
    draws and the learning rate are functions of (seed, step). Hence a run that was interrupted
    anywhere and resumed gives the same weights and the same record, bit for bit, on one machine.

    Args:
        config: of the arm.
        spec: the augmentations.
        data: the training images.
        folder: where the arm's checkpoint and record go.
        fabric: devices and precision; launched.
        stop: asks for a stop after the current step.
        progress: told after each step.
        validate: measures the encoder every `evaluate_every` epochs.
        monitor: looks at the modules after every epoch.

    Raises:
        CheckpointError: the checkpoint in `folder` is damaged, or of another config or layout.
        DataError: the batch does not fit the data.
    """

    def __init__(
        self,
        config: RunConfig,
        spec: Spec,
        data: ImageData,
        folder: Path,
        fabric: Fabric,
        stop: StopFlag,
        *,
        progress: Progress | None = None,
        validate: Validate | None = None,
        monitor: Validate | None = None,
    ) -> None:
        self.config, self.data, self.folder, self.fabric = config, data, folder, fabric
        self.stop, self.progress, self.validate = stop, progress, validate
        self.monitor = monitor
        self.corrupt = CorruptReport()
        training = config.training
        self.epoch_steps = number_of_batches(data, training.batch_size)
        self.total_steps = training.epochs * self.epoch_steps

        self.pipeline = augspec.compile(spec, seed=config.seed).to(fabric.device)
        self.reader = code_reader(self.pipeline, config)
        self.learner = self._new_learner()
        if fabric.world_size > 1 and training.sync_batch_norm:
            synchronised(self.learner, fabric.device)
        self.model = fabric.setup_module(self.learner.to(fabric.device))
        # afterwards, because sharding replaces the parameters
        self.optimizer = self.learner.build_optimizer(training.optimizer)
        self.stepper = fabric.setup_optimizers(self.optimizer)

        self.step = 0
        self.log: MetricsLog | None = None
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.best: float | None = None
        self.keeping: list[str] = []
        found = newest_whole(folder)
        if found is not None:
            self._restore(*found)
        else:
            scale_codes(self.learner.equimod, self.reader, spec, data)

    @staticmethod
    def check(config: RunConfig, spec: Spec, data: ImageData, folder: Path | None) -> None:
        """Checks, before anything is computed, that an arm can start or go on.

        Args:
            config: of the arm.
            spec: the augmentations.
            data: the training images.
            folder: of the arm; None where it starts anew.

        Raises:
            CheckpointError: the checkpoint in `folder` is damaged or of another run.
            LayoutMismatchError: it was trained on codes of another layout.
            DataError: the batch does not fit the data, or a view leaves images of different sizes
                so.
        """
        number_of_batches(data, config.training.batch_size)
        plan, views = augspec.make_plan(spec), config.views
        extra = config.neighbour.extra_views if config.neighbour is not None else ()
        wanted = (views.reference, *views.augmented, *views.local, *extra)
        require_one_size(data, plan, wanted)
        require_sizes(config, spec, data)
        found = newest_header(folder) if folder is not None else None
        if found is not None:
            path, header = found
            require_same_origin(header, config, plan, data, path)

    @property
    def images_per_second(self) -> float:
        """Source images per second, on all devices together, the wait for images included."""
        return self.step * self.config.training.batch_size / self.seconds if self.seconds else 0.0

    def run(self) -> Learner:
        """Trains to the end.

        Returns:
            The trained modules, on the device.

        Raises:
            InterruptedRunError: a stop was asked for; the state is saved.
            FloatingPointError: the training has diverged; an older checkpoint stays.
        """
        if self.fabric.is_global_zero:
            self._remove_leftovers()
        if not self.total_steps:
            self.save()
        if self.step >= self.total_steps:
            return self._whole()
        if self.fabric.is_global_zero:
            self.log = MetricsLog(self.folder, self.step)
        try:
            self._loop()
        finally:
            if self.log is not None:
                self.log.close()
                self.log = None
        return self._whole()

    def _new_learner(self) -> Learner:
        plan = self.pipeline.plan
        return Learner.from_config(self.config, code_layout(plan, self.config).width, plan)

    def _whole(self) -> Learner:
        """The modules, to be measured: no process needs another to compute with them.

        Every process must call it.
        """
        if not is_sharded(self.learner):
            return self.learner
        learner = self._new_learner()
        learner.load_state_dict(whole(self.learner.state_dict()))
        learner.to(self.fabric.device)
        share_statistics(learner)
        return learner

    def _loop(self) -> None:
        saved = time.monotonic()
        while self.step < self.total_steps:
            epoch, done = divmod(self.step, self.epoch_steps)
            began = time.perf_counter()
            for batch in self._batches(epoch, done):
                self._train_step(batch, epoch, began)
                if self.step % self.epoch_steps == 0:
                    self._end_epoch(epoch)
                overdue = time.monotonic() - saved > 60 * self.config.training.checkpoint_minutes
                due = overdue or bool(self.keeping) or self.step >= self.total_steps
                if self._agreed(due or bool(self.stop)):
                    self.save()
                    saved = time.monotonic()
                    self._stop_if_asked()
                began = time.perf_counter()

    def _stop_if_asked(self) -> None:
        if self._agreed(bool(self.stop)):
            raise InterruptedRunError(f"stopped after step {self.step} of {self.total_steps}")

    def _remove_leftovers(self) -> None:
        """Deletes what a run that was killed while it wrote a file had written of it."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def _batches(self, epoch: int, done: int) -> Any:
        training = self.config.training
        return batches(
            self.data,
            batch_size=training.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
            workers=training.workers,
            start_batch=done,
            on_corrupt=training.on_corrupt,
            report=self.corrupt,
        )

    def _train_step(self, batch: Batch, epoch: int, began: float) -> None:
        rates = {"lr": self._set_learning_rate(), **self._set_weight()}
        inputs = render(
            self.config,
            self.pipeline,
            self.reader,
            batch,
            epoch,
            count=len(self.data),
            with_reference=self.learner.needs_reference,
            device=self.fabric.device,
        )
        losses: dict[str, Tensor] = self.model(*inputs)
        self.stepper.zero_grad()
        self.fabric.backward(losses["loss"])
        if (clip := self.config.training.clip_gradients) is not None:
            clip.clip(self.learner.parameters())
        self.learner.method.before_step(self.step / self.total_steps)
        self.stepper.step()
        self.step += 1
        self.learner.method.after_step(self.step / self.total_steps)
        values = self._means(losses)
        self.seconds += time.perf_counter() - began  # `_means` has waited for the device
        if not all(map(math.isfinite, values.values())):
            raise FloatingPointError(
                f"the loss is {values['loss/total']} at step {self.step}: {REMEDY}"
            )
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if self.log is not None and self.step % self.config.training.log_every == 0:
            self.log.write(self.step, self.step / self.epoch_steps, **rates, **values)
        if self.progress is not None:
            speed = {"images/s": self.images_per_second}
            self.progress(self.step, self.total_steps, values | speed)

    def _means(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """The losses of the whole batch; each process has computed those of its own rows."""
        stacked = torch.stack([*losses.values()]).detach()
        if self.fabric.world_size > 1:
            stacked = self.fabric.all_reduce(stacked, reduce_op="mean")
        names = [f"loss/{LOSSES[name]}" for name in losses]
        return dict(zip(names, stacked.tolist(), strict=True))

    def _set_learning_rate(self) -> float:
        rate = self.config.training.rate_at(self.step, self.epoch_steps)
        set_rate(self.optimizer, rate)
        return rate

    def _set_weight(self) -> dict[str, float]:
        """Sets lambda; gives it as a value to record, if it changes."""
        if (config := self.config.equimod) is None:
            return {}
        self.learner.weight = config.weight_at(self.step, self.total_steps, self.epoch_steps)
        return {"equimod_weight": self.learner.weight} if config.weight_changes else {}

    def _end_epoch(self, epoch: int) -> None:
        """Records the epoch's means, and what the encoder is worth if that is due.

        Notes by which names the checkpoint of this step stays.
        """
        training = self.config.training
        values = {f"epoch/{k}": v / self.epoch_steps for k, v in self.sums.items()}
        self.sums = {}
        every = training.evaluate_every
        last = self.step >= self.total_steps
        if training.keep_every and (epoch + 1) % training.keep_every == 0:
            self.keeping.append(epoch_name(epoch + 1))
        if self.validate is not None and every and ((epoch + 1) % every == 0 or last):
            measured = self.validate(self._whole())
            values |= measured
            self._note_best(next(iter(measured.values()), None))
        if self.monitor is not None:
            values |= self.monitor(self._whole())
        if self.log is not None:
            self.log.write(self.step, epoch + 1, **values)

    def _note_best(self, accuracy: float | None) -> None:
        """Lets the checkpoint of this step stay if the encoder was never better."""
        if not self.config.training.keep_best or accuracy is None:
            return
        if self.best is None or accuracy > self.best:
            self.best = accuracy
            self.keeping.append(BEST)

    def _agreed(self, mine: bool) -> bool:
        """Whether any process wants it, so that all do it after the same step."""
        if self.fabric.world_size == 1:
            return mine
        wish = torch.tensor(float(mine), device=self.fabric.device)
        wishes = self.fabric.all_reduce(wish, reduce_op="sum")
        return bool(wishes > 0)

    def save(self) -> None:
        """Writes the checkpoint; every process must call it, and the first writes.

        Raises:
            FloatingPointError: weights are not finite; an older checkpoint stays.
        """
        # the last loss was finite, but came before the last update
        finite = torch.stack([own(p).isfinite().all() for p in self.learner.parameters()]).all()
        if self._agreed(not finite):
            raise FloatingPointError(f"the weights are not finite at step {self.step}: {REMEDY}")
        began = time.perf_counter()
        if self.log is not None:
            self.log.sync()
        tensors, settings = optimizer_state(self.optimizer)
        named = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
        named = whole(named | learner_tensors(self.learner), keep=self.fabric.is_global_zero)
        if self.fabric.is_global_zero:
            header = {
                "step": self.step,
                "seconds": self.seconds,
                "sums": self.sums,
                "best": self.best,
                "kept": self.keeping,
                "optimizer": settings,
                **origin(self.config, self.pipeline.plan, self.data),
            }
            save_checkpoint(self.folder / CHECKPOINT, Checkpoint(named, header))
            keep(self.folder, self.keeping)
            self._note_save(time.perf_counter() - began)
        self.keeping = []
        self.fabric.barrier()

    def _note_save(self, seconds: float) -> None:
        """Appends what the writing took: before its end, a job gets so long and no longer."""
        size = (self.folder / CHECKPOINT).stat().st_size
        record = {"step": self.step, "seconds": round(seconds, 4), "bytes": size}
        with (self.folder / SAVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _restore(self, path: Path, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint, if it is one of this very run."""
        header, plan = checkpoint.header, self.pipeline.plan
        require_same_origin(header, self.config, plan, self.data, path)
        restore_learner(self.learner, checkpoint, path)
        restore_optimizer(self.optimizer, checkpoint.part("optimizer"), header["optimizer"])
        self.step, self.seconds, self.sums = header["step"], header["seconds"], header["sums"]
        self.best = header.get("best")
        if self.fabric.is_global_zero and path.name == CHECKPOINT:
            keep_missing(self.folder, self.step, header.get("kept", ()))
