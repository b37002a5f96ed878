"""Runs as one resample: the rule, and pixels against the plain plan and against the truth.

The truth is found by other means: 16 places a pixel looked up in the first image, hard edges of all
images in between, and their mean.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, max_pool2d
from torchvision.io import ImageReadMode, decode_image

import augspec
from augspec.compiler.geometry import moves
from augspec.compiler.merge import (
    GeometricRun,
    disagreement,
    fill_beyond,
    may_shrink,
    mergeable_runs,
    never_merges,
    render_merged,
)
from augspec.compiler.plan import Step
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.contract import Op

Document = dict[str, Any]
FLIP: Document = {"op": "horizontal_flip", "p": 0.5}
CROP: Document = {"op": "resized_crop", "size": 80, "area": [0.1, 1.0]}
TURN: Document = {"op": "rotate", "degrees": [-30, 30]}
SLANT: Document = {"op": "shear", "x": [-15, 15]}
AFFINE: Document = {"op": "affine", "degrees": [-10, 10], "scale": [0.8, 1.2], "shear_x": [-8, 8]}
TILT: Document = {"op": "perspective", "distortion": 0.4}
JITTER: Document = {"op": "color_jitter", "brightness": 0.4}
PICKS: Document = {"op": "rotate", "id": "picks", "interpolation": "nearest"}
EDGE: Document = {"op": "pad", "mode": "edge"}
WINDOW: Document = {"op": "random_crop", "size": 64, "padding": 4}


class View:
    """One view of these ops, and one draw of it for `n` images of a size."""

    def __init__(self, *ops: Document, size: tuple[int, int] = (96, 96), n: int = 8) -> None:
        document = {"version": 1, "name": "t", "views": {"v": {"ops": list(ops)}}}
        self.pipeline = augspec.compile(augspec.loads(json.dumps(document)), seed=5)
        self.size = size
        self.params = self.pipeline.decode(self.pipeline.draw(torch.arange(n), 0, size))["v"]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.pipeline.plan.view("v").steps

    def runs(self, size: tuple[int, int] | None = None) -> tuple[GeometricRun, ...]:
        return mergeable_runs(self.steps, size)

    def plain(self, x: Tensor) -> Tensor:
        """Op by op, as the plain plan renders."""
        for step in self.steps:
            x = step.op.apply(x, {name: self.params[step.key(name)] for name in step.parameters})
        return x

    def merged(self, x: Tensor) -> Tensor:
        return render_merged(self.steps, x, self.params)

    def truth(self, x: Tensor, interpolation: str = "bilinear", taps: int = 4) -> Tensor:
        """The mean over places in each pixel, of the first image or of what is filled."""
        found = moves(self.pipeline, self.params, self.size, view="v", batch=len(x))
        sizes = [self.size, *(size for _, size in found)]
        height, width = sizes[-1]
        y, x_ = (
            (2 * torch.arange(side * taps, dtype=torch.float64) + 1) / (side * taps) - 1
            for side in (height, width)
        )
        ones = torch.ones(len(y), len(x_), dtype=torch.float64)
        points = torch.stack([x_ * ones, y[:, None] * ones, ones]).flatten(1)
        places = []
        for matrix, _ in reversed(found):
            points = torch.linalg.inv(matrix) @ points
            places.append((points[:, :2] / points[:, 2:]).unflatten(2, ones.shape))
        grid = places[-1].permute(0, 2, 3, 1).to(x.dtype)
        view = grid_sample(x, grid, interpolation, "border", align_corners=False)
        ops = [step.op for step in self.steps]
        assert len(ops) == len(found)
        still = torch.eye(3, dtype=torch.float64)
        for op, (matrix, _), place, size in zip(ops, found, reversed(places), sizes, strict=False):
            fill = fill_beyond(op, size)
            if fill is not None:
                acts = (matrix != still).flatten(1).any(dim=1)[:, None, None]
                gone = acts & (place.abs() > 1).any(dim=1)
                view = torch.where(gone[:, None], fill, view)
        return avg_pool2d(view, taps)


def smooth(batch: int, side: int = 96) -> Tensor:
    """Images of slow waves, which no two pixels of a resample can spoil."""
    y, x = torch.linspace(0, 3, side)[:, None], torch.linspace(0, 4, side)[None]
    phase = torch.linspace(0, 1, batch)[:, None, None]
    waves = [(y + x + phase).sin(), (y - 1.3 * x + phase).cos(), (0.7 * x - phase).sin() + 0 * y]
    return 0.5 + 0.3 * torch.stack(waves, dim=1)


def detailed(batch: int, side: int = 96) -> Tensor:
    """Rings that are finer and finer outwards, up to four pixels each, with discs and a grain."""
    y, x = torch.meshgrid(*[torch.arange(side) / side - 0.5] * 2, indexing="ij")
    generator = torch.Generator().manual_seed(0)
    found = []
    for k in range(batch):
        shift = 0.2 * k / batch
        rings = (side * torch.pi / 2 * ((x - shift).square() + y.square())).sin()
        discs = ((8 * x + k).sin() * (7 * y).cos() > 0.3).float()
        grain = torch.rand(3, side, side, generator=generator)
        found.append(0.5 + 0.2 * rings + 0.2 * (discs - 0.5) + 0.1 * (grain - 0.5))
    return torch.stack(found).clamp(0, 1)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Decibels for each sample, `(B,)`, of intensities in [0, 1]."""
    return -10 * (a - b).square().flatten(1).mean(dim=1).log10()


# --- the rule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([], []),
        ([JITTER], []),
        ([TURN, SLANT], [("rotate shear", None)]),
        ([CROP, TURN, FLIP, TILT], [("resized_crop rotate horizontal_flip perspective", None)]),
        ([CROP, FLIP], [("resized_crop horizontal_flip", "only resized_crop resamples")]),
        ([FLIP, {"op": "rotate90"}], [("horizontal_flip rotate90", "none resamples")]),
        ([TURN, {**SLANT, "p": 0}], [("rotate shear", "only rotate resamples")]),
        (
            [TURN, JITTER, SLANT],
            [("rotate", "only rotate resamples"), ("shear", "only shear resamples")],
        ),
        ([{**CROP, "interpolation": "bicubic"}, TURN], [("resized_crop rotate", None)]),
        ([{**TURN, "fill": 0.5}, {**SLANT, "fill": 0.1}], [("rotate shear", None)]),
        (
            [TURN, PICKS, {**SLANT, "interpolation": "nearest"}, TILT],
            [
                ("rotate", "picks picks pixels (nearest), and rotate averages them (bilinear)"),
                ("picks shear", None),
                ("perspective", "picks picks pixels (nearest), and perspective averages them"),
            ],
        ),
        (
            [{**CROP, "interpolation": "nearest"}, PICKS],
            [("resized_crop", "corner of a cell"), ("picks", "only picks resamples")],
        ),
        (
            [TURN, EDGE, SLANT, TILT],
            [
                ("rotate", "shows the image again (edge)"),
                ("pad", "pad: a margin"),
                ("shear perspective", None),
            ],
        ),
        ([TURN, {**EDGE, "padding": 0}, TILT], [("rotate pad perspective", None)]),
        ([TURN, WINDOW, TILT], [("rotate random_crop perspective", None)]),
        (
            [{"op": "resize", "size": 60}, {**CROP, "antialias": False}],
            [
                ("resize", "resize averages where it shrinks, and resized_crop does not"),
                ("resized_crop", "only resized_crop resamples; resize averages"),
            ],
        ),
        ([{**CROP, "antialias": False}, TURN], [("resized_crop rotate", None)]),
        (
            [{"op": "one_of", "ops": [TURN, SLANT]}],
            [("one_of.rotate one_of.shear", "only one_of resamples")],
        ),
        (
            [{"op": "maybe", "ops": [TURN, FLIP]}, SLANT],
            [("maybe.rotate maybe.horizontal_flip shear", None)],
        ),
        ([{"op": "sequence", "ops": [TURN, PICKS]}], [("sequence.rotate sequence.picks", "(near")]),
        ([{"op": "sequence", "ops": [TURN, JITTER]}, SLANT], [("shear", "only shear resamples")]),
        ([{"op": "random_order", "ops": [TURN, FLIP]}, SLANT], [("random_order shear", None)]),
        (
            [{"op": "random_order", "ops": [TURN, {**SLANT, "fill": 0.5}]}, TILT],
            [
                ("random_order", "in random order, fills must agree, got 0, 0.5"),
                ("perspective", "only perspective resamples; random_order"),
            ],
        ),
    ],
)
def test_which_runs_are_one_resample_and_why_others_are_not(ops, expected) -> None:
    view = View(*ops)
    for size in (None, (96, 96)):
        found = view.runs(size)
        assert [" ".join(part.path for part in run.parts) for run in found] == [
            names for names, _ in expected
        ]
        for run, (_, reason) in zip(found, expected, strict=True):
            assert (run.refused is None) == (reason is None), run.refused
            assert (reason or "one ") in run.explain()


def test_a_run_knows_its_place_its_sizes_and_how_it_is_rendered() -> None:
    bicubic = {**CROP, "interpolation": "bicubic"}
    view = View(JITTER, TURN, bicubic, FLIP, JITTER, CROP)
    first, second = view.runs((120, 100))
    assert (first.start, first.stop, first.before, first.after) == (1, 4, (120, 100), (80, 80))
    assert (second.start, second.stop, second.before, second.after) == (5, 6, (80, 80), (80, 80))
    assert first.interpolation == "bicubic"
    assert first.explain() == (
        "rotate, resized_crop, horizontal_flip: one bicubic resample, "
        "averaged beforehand where it shrinks"
    )
    assert view.runs(None)[0].before is None
    rough = View({**CROP, "antialias": False}, AFFINE).runs((96, 96))
    assert [run.antialias for run in rough] == [False]
    picks = View(PICKS, {**AFFINE, "interpolation": "nearest"}).runs((96, 96))
    assert [run.antialias for run in picks] == [False]
    assert [run.antialias for run in View(TURN, CROP).runs((96, 96))] == [True]
    assert [run.antialias for run in View(TURN, CROP).runs((80, 60))] == [False]


def op(**document: Any) -> Op:
    return loads_model(OPS[document["op"]], json.dumps(document))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"op": "horizontal_flip"}, False),
        ({"op": "rotate", "degrees": 45}, False),
        ({"op": "translate"}, False),
        ({"op": "scale", "factor": [1.0, 2.0]}, False),
        ({"op": "scale", "factor": [0.9, 2.0]}, True),
        ({"op": "scale", "factor": [0.9, 2.0], "p": 0}, False),
        ({"op": "shear"}, True),
        ({"op": "perspective"}, True),
        ({"op": "resize", "size": [60, 40]}, False),
        ({"op": "resize", "size": [60, 39]}, True),
        ({"op": "resized_crop", "size": [60, 40]}, False),
        ({"op": "pad"}, False),
        ({"op": "center_crop", "size": 10}, False),
    ],
)
def test_what_may_shrink(document: Document, expected: bool) -> None:
    assert may_shrink(op(**document), (60, 40)) == expected
    assert may_shrink(op(**document), None) >= expected


def test_what_shows_a_fill() -> None:
    def beyond(**document: Any) -> float | None:
        return fill_beyond(op(**document), (20, 30))

    assert beyond(op="rotate", fill=0.3) == 0.3
    assert beyond(op="pad", fill=0.3) == 0.3
    assert beyond(op="pad", fill=0.3, padding=0) is None
    assert beyond(op="random_crop", fill=0.3) is None
    assert beyond(op="random_crop", fill=0.3, padding=[0, 0, 1, 0]) == 0.3
    assert beyond(op="center_crop", size=20) is None
    assert beyond(op="center_crop", size=[20, 31]) == 0
    assert beyond(op="resized_crop") is beyond(op="resize") is beyond(op="vertical_flip") is None


def test_disagreements_name_both_ops_whichever_comes_first() -> None:
    a, b = ("a", op(op="rotate")), ("b", op(op="rotate", interpolation="nearest"))
    assert disagreement(a, b) == disagreement(b, a)
    assert disagreement(a, b) == "b picks pixels (nearest), and a averages them (bilinear)"
    assert disagreement(a, a) is None
    assert never_merges(op(op="rotate", interpolation="nearest")) is None


def test_the_rule_needs_no_torch() -> None:
    code = (
        "import sys, augspec\n"
        "from augspec.compiler.merge import mergeable_runs\n"
        "from augspec.compiler.plan import make_plan\n"
        f"spec = augspec.loads({json.dumps(json.dumps(DOCUMENT))})\n"
        "(run,) = mergeable_runs(make_plan(spec).view('v').steps, (96, 96))\n"
        "assert run.explain().startswith('resized_crop, rotate: one bilinear resample')\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


DOCUMENT = {"version": 1, "name": "t", "views": {"v": {"ops": [CROP, TURN]}}}


# --- pixels ----------------------------------------------------------------------------------

CHAINS: dict[str, list[Document]] = {
    "crop and all warps": [CROP, TURN, AFFINE, FLIP, TILT],
    "warps that keep the size": [TURN, AFFINE],
    "two fills": [{**TURN, "fill": 0.8}, {**SLANT, "fill": 0.3}],
    "turned, then resized": [{**TURN, "fill": 0.5}, {"op": "resize", "size": 40}],
    "shrunk to a third": [{"op": "scale", "factor": [0.3, 0.5]}, TURN],
    "tilted twice": [{**TILT, "fill": 0.5}, {**TILT, "fill": 0.5}],
    "margins and windows": [
        {"op": "pad", "padding": [3, 0, 5, 2], "fill": 0.5},
        TURN,
        {"op": "center_crop", "size": [90, 110]},
        {"op": "random_crop", "size": 88, "padding": 4, "fill": 0.5},
        SLANT,
    ],
    "gates": [{**op, "p": 0.5} for op in (TURN, SLANT, TILT, {"op": "scale"})],
    "quarter turns": [{"op": "rotate90"}, TURN, {"op": "rotate90"}, SLANT],
}
NESTED: dict[str, list[Document]] = {
    "random order": [{"op": "random_order", "ops": [TURN, FLIP, SLANT]}, TILT],
    "choices": [{"op": "one_of", "ops": [TURN, SLANT, TILT]}, {"op": "maybe", "ops": [AFFINE]}],
    "repeats": [CROP, {"op": "repeat", "times": [0, 2], "ops": [SLANT, FLIP]}],
    "colour in between": [TURN, SLANT, JITTER, TILT, AFFINE],
}


@pytest.mark.parametrize("name", [*CHAINS, *NESTED])
def test_smooth_pictures_are_as_the_plain_plan_has_them(name: str) -> None:
    view = View(*({**CHAINS, **NESTED}[name]))
    found, expected = view.merged(smooth(8)), view.plain(smooth(8))
    assert found.shape == expected.shape
    assert any(run.refused is None for run in view.runs((96, 96)))
    # what differs is the edge against the fill, which one warp after the other darkens
    assert psnr(found, expected).min() > 30
    apart = (found - expected).abs().amax(dim=1)
    assert apart.flatten(1).median(dim=1).values.max() < 2e-3


@pytest.mark.parametrize("name", CHAINS)
def test_it_is_closer_to_the_truth_than_the_plain_plan(name: str) -> None:
    view, x = View(*CHAINS[name]), detailed(8)
    truth = view.truth(x)
    mine, theirs = psnr(view.merged(x), truth), psnr(view.plain(x), truth)
    if name == "gates":  # of these ops, one alone may act, or none
        assert (mine > theirs).float().mean() > 0.7
    else:
        assert (mine - theirs).min() > 2
        assert mine.min() > 36
    assert (mine - theirs).median() > 3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_photographs_are_closer_to_the_truth(photos: list[Path], interpolation: str) -> None:
    crop = {**CROP, "size": 112, "interpolation": interpolation}
    images = [decode_image(str(path), ImageReadMode.RGB).float() / 255 for path in photos[:12]]
    x = torch.stack([TF.center_crop(TF.resize(image, 160), [160, 160]) for image in images])
    for ops in ([crop, TURN, AFFINE, FLIP, TILT], [TURN, crop]):
        view = View(*ops, size=(160, 160), n=12)
        truth = view.truth(x, interpolation)
        mine, theirs = psnr(view.merged(x), truth), psnr(view.plain(x), truth)
        assert (mine > theirs).float().mean() > 0.9
        assert (mine - theirs).median() > 3


def test_inside_all_edges_it_is_closer_too() -> None:
    """Not by its edges alone."""
    view, x = View(TURN, AFFINE), detailed(8)
    held = view.truth(torch.ones_like(x))
    inside = -max_pool2d(-held, 7, 1, 3) > 1 - 1e-6
    assert 0.3 < inside.float().mean() < 0.95
    truth = view.truth(x)
    mine, theirs = ((found - truth)[inside] for found in (view.merged(x), view.plain(x)))
    assert mine.square().mean() < 0.5 * theirs.square().mean()


@pytest.mark.parametrize(
    "name", ["crop and all warps", "warps that keep the size", "margins and windows"]
)
def test_the_fill_lies_where_the_plain_plan_has_it(name: str) -> None:
    white = [{**op, "fill": 0.0} if "fill" in op else op for op in CHAINS[name]]
    view, x = View(*white), torch.ones(8, 3, 96, 96)
    mine, theirs = view.merged(x)[:, 0] > 0.5, view.plain(x)[:, 0] > 0.5
    overlap = (mine & theirs).sum((1, 2)) / (mine | theirs).sum((1, 2))
    assert theirs.float().mean() < 0.95
    assert overlap.min() > 0.96


def test_samples_on_which_nothing_acts_stay_bit_by_bit_and_one_op_is_nearly_itself() -> None:
    gated = [{**document, "p": 0.3} for document in (TURN, SLANT, {"op": "scale", "factor": 1.2})]
    view, x = View(*gated, n=40), detailed(40)
    found, expected = view.merged(x), view.plain(x)
    counts = torch.stack([
        step.op.active({name: view.params[step.key(name)] for name in step.parameters})
        for step in view.steps
    ]).sum(dim=0)  # fmt: skip
    assert set(counts.tolist()) >= {0, 1, 2}
    assert torch.equal(found[counts == 0], x[counts == 0])
    middle = (..., slice(24, 72), slice(24, 72))  # no edge comes here
    scaled = view.params["scale.factor"] != 1
    for rows, tolerance in ((counts == 1) & scaled, 1e-4), ((counts == 1) & ~scaled, 0.06):
        assert rows.any()
        apart = (found[rows] - expected[rows])[middle].abs()
        assert apart.max() < tolerance  # a slant shrinks a little along one axis, and is averaged
    assert (found[counts == 2] - expected[counts == 2])[middle].abs().max() > 0.02


def test_views_without_such_runs_are_as_the_plain_plan_has_them() -> None:
    view, x = View(CROP, FLIP, JITTER, TURN), detailed(8)
    assert torch.equal(view.merged(x), view.plain(x))
    view = View({"op": "resize", "size": 50}, {"op": "center_crop", "size": 40})
    assert torch.equal(view.merged(x), view.plain(x))
    both = View({"op": "resize", "size": 120}, {"op": "resize", "size": 40})
    assert both.merged(x).shape == (8, 3, 40, 40)  # nothing draws, and B is that of the images


# --- derivatives and mistakes ----------------------------------------------------------------


def test_gradients_reach_images_and_parameters() -> None:
    small = {**CROP, "size": [7, 6], "area": [0.5, 0.9]}
    view = View(small, TURN, {**TILT, "fill": 0.4}, size=(9, 10), n=2)
    keys = list(view.params)
    leaves = [view.params[key].clone().requires_grad_() for key in keys]
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 9, 10, generator=generator, dtype=torch.float64).requires_grad_()

    def forward(x: Tensor, *values: Tensor) -> Tensor:
        return render_merged(view.steps, x, dict(zip(keys, values, strict=True)))

    assert torch.autograd.gradcheck(forward, (x, *leaves))
    forward(x, *leaves).square().sum().backward()
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in leaves)


def test_a_parameter_that_is_missing_is_named() -> None:
    view = View(TURN, {"op": "maybe", "ops": [SLANT]})
    with pytest.raises(KeyError, match=r"maybe\.shear\.x"):
        render_merged(view.steps, smooth(8), {"rotate.angle": view.params["rotate.angle"]})


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    view, x = View({"op": "resize", "size": 90}, CROP, TURN, {"op": "rotate90"}, TILT), detailed(8)
    there, params = x.cuda(), {key: value.cuda() for key, value in view.params.items()}
    render_merged(view.steps, there, params)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = render_merged(view.steps, there, params)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert psnr(found.cpu(), view.merged(x)).min() > 70
