"""The passes: what each makes of the plain plan, and that no pixel changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import augspec
from augspec.compiler.plan import ViewPlan
from augspec.compiler.schedule import (
    Stage,
    drop_idle,
    fold_windows,
    hoist_flips,
    join_chains,
    join_colours,
    one_by_one,
    schedule,
    stack_views,
    unpack_groups,
)

CROP = {"op": "resized_crop", "size": 16}
FLIP = {"op": "horizontal_flip", "p": 0.5}
JITTER = {"op": "color_jitter", "brightness": 0.4, "hue": 0.1}
BLUR = {"op": "gaussian_blur", "kernel": 3}
TURN = {"op": "rotate"}


def view(*ops: dict[str, Any], size: int | None = 32) -> ViewPlan:
    document: dict[str, Any] = {"version": 1, "name": "test", "views": {"v": {"ops": list(ops)}}}
    if size:
        document["image"] = {"size": size}
    return augspec.make_plan(augspec.loads(json.dumps(document))).views[0]


def shown(stages: tuple[Stage, ...]) -> list[str]:
    return [f"{stage.kind} {'+'.join(step.id for step in stage.steps)}" for stage in stages]


def test_groups_that_run_in_turn_are_unpacked() -> None:
    inner = {"op": "sequence", "ops": [FLIP, {"op": "maybe", "ops": [{"op": "invert"}]}]}
    shuffled = {"op": "random_order", "ops": [{"op": "invert", "p": 0.5}, FLIP]}
    found = unpack_groups(one_by_one(view(inner, shuffled)))
    assert shown(found) == [
        "step sequence.horizontal_flip",
        "step sequence.maybe.invert",
        "step random_order",
    ]
    assert found[1].steps[0].key("on") == "sequence.maybe.invert.on"


def test_what_changes_no_image_is_dropped() -> None:
    idle = [
        {"op": "resize", "size": 32},
        {"op": "center_crop", "size": 32},
        {"op": "pad", "padding": 0},
    ]
    acting = [{"op": "pad", "padding": 1}, {"op": "center_crop", "size": 30}]
    stages = one_by_one(view(*idle, *acting))
    assert shown(drop_idle(stages, (32, 32))) == ["step pad_2", "step center_crop_2"]
    assert len(drop_idle(stages, None)) == 4  # pad: 0 does nothing to an image of any size


def test_flips_move_to_the_geometry_past_what_they_commute_with() -> None:
    stages = hoist_flips(one_by_one(view(CROP, JITTER, BLUR, FLIP)))
    assert shown(stages)[1] == "step horizontal_flip"
    assert stages[1].notes == ("horizontal_flip runs before color_jitter: they commute",)
    noise = {"op": "gaussian_noise"}
    assert shown(hoist_flips(one_by_one(view(CROP, noise, FLIP))))[-1] == "step horizontal_flip"


def test_windows_fold_into_the_filter_before_them() -> None:
    resize = {"op": "resize", "size": 24}
    folded = fold_windows(
        one_by_one(view(resize, {"op": "center_crop", "size": 20}, FLIP)), (32, 32)
    )
    assert shown(folded) == ["resample resize+center_crop+horizontal_flip"]


def test_a_window_that_shows_black_is_not_folded_into_another() -> None:
    box, wide = {"op": "center_crop", "size": 20}, {"op": "pad", "padding": 2}
    folded = fold_windows(one_by_one(view(box, wide)), (32, 32))
    assert shown(folded) == ["resample center_crop", "resample pad"]
    assert "may show what is around" in folded[1].notes[0]


def test_chains_hold_blurs_and_runs_of_colours_do_not() -> None:
    stages = one_by_one(view(CROP, JITTER, BLUR, {"op": "invert"}))
    assert shown(join_chains(stages)) == [
        "step resized_crop", "chain color_jitter+gaussian_blur+invert",
    ]  # fmt: skip
    assert len(join_colours(stages)) == 4


def test_one_kernel_has_resamples_and_then_a_chain() -> None:
    stages = schedule(view(FLIP, CROP, JITTER, BLUR, {"op": "pad"}, TURN, JITTER), (32, 32))
    assert shown(stages) == [
        "fused horizontal_flip+resized_crop+color_jitter+gaussian_blur",
        "fused pad",
        "step rotate",
        "fused color_jitter_2",
    ]
    assert shown(stages[0].parts) == [
        "resample horizontal_flip", "resample resized_crop", "chain color_jitter+gaussian_blur",
    ]  # fmt: skip
    assert "have no rotate" in stages[2].notes[0]


def test_equal_views_are_stacked_and_others_are_not() -> None:
    plan = augspec.make_plan(augspec.load("specs/augmentations/byol-imagenet.yaml"))
    assert [len(group) for group in stack_views(plan.views)] == [1, 1, 1]  # p differs
    plan = augspec.make_plan(augspec.load("specs/augmentations/dino-imagenet.yaml"))
    assert [len(group) for group in stack_views(plan.views)] == [1, 1, 1, 8]


@pytest.mark.parametrize(
    "ops",
    [
        [{"op": "resize", "size": 24}, {"op": "center_crop", "size": 20}, FLIP],
        [{"op": "center_crop", "size": 40}, {"op": "random_crop", "size": 30}, FLIP],
        [{"op": "random_crop", "size": 32, "padding": 4}, {"op": "vertical_flip"}, FLIP],
        [FLIP, {"op": "random_crop", "size": 20}, FLIP | {"id": "back", "p": 1.0}],
        [FLIP, {"op": "pad", "padding": [1, 2, 3, 4]}, {"op": "center_crop", "size": [9, 30]}],
    ],
    ids=str,
)
def test_windows_and_flips_move_the_very_pixels(ops: list[dict[str, Any]]) -> None:
    document = {"version": 1, "name": "test", "views": {"v": {"ops": ops}}}
    spec = augspec.loads(json.dumps(document))
    images = torch.rand(24, 3, 32, 37, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(24)
    plain = augspec.compile(spec, backend="eager")(images, ids=ids, epoch=0).views["v"]
    fused = augspec.compile(spec, backend="numba")(images, ids=ids, epoch=0).views["v"]
    exact = "resize" not in str(ops)
    torch.testing.assert_close(fused, plain, atol=0 if exact else 5e-6, rtol=0)
