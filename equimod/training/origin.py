"""Where a checkpoint comes from: whether it was written by a run that decides the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from augspec import Layout, Pipeline, Plan
from equimod.code_columns import code_columns
from equimod.codes import CodeReader
from equimod.config import RunConfig
from equimod.data import ImageData
from equimod.training.checkpoint import CheckpointError, differences
from equimod.training_config import TrainingConfig

INDIFFERENT = ("name", "description", "evaluation", "augmentations", "data")
"""Fields of a run that leave the weights alone; data and augmentations are compared by what they
are, not by where they lie."""

INDIFFERENT_TRAINING = (
    "accelerator",
    "strategy",
    "workers",
    "on_corrupt",
    "checkpoint_minutes",
    "keep_every",
    "keep_best",
    "log_every",
    "evaluate_every",
)
"""The same of the fields in `training`."""

PROCESSES = ("devices", "nodes")
"""Fields in `training` that change nothing but rounding where batch norms are synchronised: the
batch, its samples, views and codes are the same for any number of processes."""


def code_layout(plan: Plan, config: RunConfig) -> Layout:
    """The layout of the codes that the predictor reads; of canonical ones if there is none."""
    views, equimod = config.views.augmented, config.equimod
    if equimod is None:
        return plan.view(views[0]).layout
    return code_columns(plan, equimod.codes, views, pair=equimod.reference == "pair").layout


def code_reader(pipeline: Pipeline, config: RunConfig) -> CodeReader | None:
    """What the predictor reads of the pipeline's codes; None if there is no predictor."""
    equimod = config.equimod
    if equimod is None:
        return None
    return CodeReader.make(
        equimod.codes,
        pipeline,
        reference=config.views.reference,
        views=config.views.augmented,
        pair=equimod.reference == "pair",
        blind=equimod.control == "zero_codes",
    )


def origin(config: RunConfig, plan: Plan, data: ImageData) -> dict[str, Any]:
    """What a checkpoint's header says of the run that wrote it."""
    return {
        "config": _decisive(config),
        "data": data.fingerprint,
        "plan": plan.hash,
        "layout": code_layout(plan, config).document(),
    }


def require_same_origin(
    header: dict[str, Any], config: RunConfig, plan: Plan, data: ImageData, path: Path
) -> None:
    """Checks that a checkpoint was written by a run that decides the same weights.

    Args:
        header: of the checkpoint.
        config: of the arm that wants to use it.
        plan: of its augmentations.
        data: its training images.
        path: of the checkpoint, for the message.

    Raises:
        LayoutMismatchError: the checkpoint was trained on codes of another layout.
        CheckpointError: it comes from another run otherwise; the message lists the differences.
    """
    layout = code_layout(plan, config)
    layout.require(Layout.from_document(layout.view, header["layout"]), f"checkpoint {path}")
    changed = differences(_decisive(config), _completed(header["config"], config))
    if header["plan"] != plan.hash:
        changed.append("the augmentation spec")
    if header["data"] != data.fingerprint:
        changed.append("the data")
    if changed:
        listed = "\n  ".join(changed)
        raise CheckpointError(
            f"{path} was written by a run that differs in:\n  {listed}\n"
            "undo that, or train with --out into another folder or with --restart anew"
        )


def _decisive(config: RunConfig) -> dict[str, Any]:
    """The part of a config that decides the weights: what is measured afterwards does not."""
    plain: dict[str, Any] = config.model_dump(mode="json")
    for field in INDIFFERENT:
        plain.pop(field)
    for field in INDIFFERENT_TRAINING + PROCESSES * config.training.sync_batch_norm:
        plain["training"].pop(field)
    return plain


def _completed(decisive: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """The same part of an older checkpoint's config, with the fields that have come since.

    A new field's default is what runs did before there was the field.

    Args:
        decisive: as the checkpoint has it.
        config: from which what is not decisive is taken, so that the whole can be read.
    """
    plain = config.model_dump(mode="json")
    merged = {**plain, **decisive, "training": {**plain["training"], **decisive["training"]}}
    for field in TrainingConfig.model_fields.keys() - decisive["training"].keys():
        if field not in INDIFFERENT_TRAINING + PROCESSES:
            merged["training"].pop(field)
    for field in RunConfig.model_fields.keys() - decisive.keys():
        if field not in INDIFFERENT:
            merged.pop(field)
    try:
        return _decisive(RunConfig.model_validate(merged))
    except ValidationError:  # a field that is no more, which the message shall name
        return decisive
