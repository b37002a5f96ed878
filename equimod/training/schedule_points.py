"""What changes in the course of a training, at a few points of it."""

from __future__ import annotations

from dataclasses import dataclass

from equimod.config import RunConfig

NOMINAL_STEPS = 1000
"""Steps of an epoch, for the rates alone, where the number of images is not known."""

POINTS = ("start", "warm", "half", "end")
"""The first step, the end of the warm-up, half of all steps, and the end: one after the last step
that is taken."""


@dataclass(frozen=True)
class SchedulePoints:
    """The steps of a training, and what changes with them.

    Attributes:
        epochs: how often each image is seen.
        epoch_steps: steps of an epoch; None where the number of images is not known.
        steps: in all; None likewise.
        warmup: steps of the learning rate's warm-up; None likewise.
        rates: the learning rate at each of `POINTS`.
        weights: lambda at each of them; None without EquiMod.
    """

    epochs: int
    epoch_steps: int | None
    steps: int | None
    warmup: int | None
    rates: tuple[float, ...]
    weights: tuple[float, ...] | None


def schedule_points(config: RunConfig, images: int | None) -> SchedulePoints:
    """The schedule of an arm.

    Args:
        config: of the arm.
        images: how many images the train split has; None where that is not known.
    """
    training, equimod = config.training, config.equimod
    epoch_steps = images // training.batch_size if images is not None else NOMINAL_STEPS
    total = training.epochs * epoch_steps
    warmup = training.warmup_steps(epoch_steps)
    at = (0, min(warmup, total), total // 2, total)
    known = images is not None
    return SchedulePoints(
        epochs=training.epochs,
        epoch_steps=epoch_steps if known else None,
        steps=total if known else None,
        warmup=warmup if known else None,
        rates=tuple(training.rate_at(step, epoch_steps) for step in at),
        weights=None
        if equimod is None or not total
        else tuple(equimod.weight_at(step, total, epoch_steps) for step in at),
    )
