"""Bad codes: what is refused and how it is said, and the nearest code that is valid."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_specs import Case, cases, examples
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import augspec
from augspec import Pipeline
from augspec.compiler.checks import SHOWN, TOLERANCE, CodeError, CodeWarning
from augspec.compiler.plan import make_plan
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.contract import Op

aten = torch.ops.aten
SOLARIZE = {"op": "solarize", "threshold": [0.2, 0.8]}
BRANCHES = [{"op": "hue"}, {"op": "brightness"}, {"op": "grayscale"}]


def pipeline_of(*ops: dict[str, Any], **spec: Any) -> Pipeline:
    document = {"version": 1, "name": "t", "views": {"v": {"ops": list(ops)}}, **spec}
    return augspec.compile(augspec.loads(json.dumps(document)))


def code_with(pipeline: Pipeline, row: int, values: dict[str, list[float]]) -> Tensor:
    """Five identities, but for these slots of one row."""
    layout = pipeline.layouts["v"]
    code = torch.zeros(5, layout.width)
    slots = {slot.name: slot for slot in layout.slots}
    for name, columns in values.items():
        code[row, slots[name].slice] = torch.tensor(columns)
    return code


def log(value: float) -> list[float]:
    return [math.log(value)]


BAD: list[tuple[dict[str, Any], dict[str, list[float]], str, float, str]] = [
    # op, the columns of some slots, the slot that is bad, its nearest parameter, what is said
    ({"op": "grayscale"}, {"gray": [0.3]}, "gray", 0, "0.3, and must be 0 or 1; strict=None"),
    ({"op": "grayscale"}, {"gray": [1.7]}, "gray", 1, "1.7, and must be 0 or 1"),
    ({"op": "grayscale"}, {"gray": [math.nan]}, "gray", 0, "nan, and must be finite"),
    ({"op": "hue"}, {"shift": [0.9, 0.1]}, "shift", 0.125, "sin 0.9, versin 0.1, and must be on"),
    ({"op": "hue"}, {"shift": [0.0, 1.0]}, "shift", 0, "on the circle"),
    ({"op": "hue"}, {"shift": [-math.inf, 0.0]}, "shift", 0, "sin -inf, versin 0, and must be fin"),
    ({"op": "channel_drop"}, {"channel": [0.9, 1, 0]}, "channel", 2, "red 0.9, green 1, blue 0"),
    ({"op": "channel_drop"}, {"channel": [0.4, 0, 0]}, "channel", 0, "all 0, or 1 in one column"),
    (
        {"op": "color_jitter", "hue": 0.1},
        {"order": [1, -1, 0, 1, 0, 0]},  # 0 before 1 before 2 before 0
        "order",
        0,
        "0<1 1, 0<2 -1, 0<3 0, 1<2 1, 1<3 0, 2<3 0, and must be -1, 0 or 1 .* without a cycle",
    ),
    ({"op": "color_jitter", "hue": 0.1}, {"order": [0.5, 0, 0, 0, 0, 0]}, "order", 0, "0<1 0.5"),
    ({"op": "color_jitter", "hue": 0.1}, {"contrast": [-1.5]}, "contrast", 0, "at least 0"),
    (
        {"op": "brightness"},
        {"factor": [-1.5]},
        "factor",
        0,
        r"-0.5 \(coded as -1.5\), and must be at least 0",
    ),
    (
        {"op": "resized_crop"},
        {"center_y": [-0.4], "height": log(0.5)},
        "center_y",
        0.25,
        r"0.1 \(coded as -0.4\), and the box must lie in the image and hold something, "
        "got center_y 0.1, center_x 0.5, height 0.5, width 1: the nearest is 0.25",
    ),
    ({"op": "resized_crop"}, {"width": [0.5]}, "width", 1, "1.648721 .* from 1e-05 to 1"),
    ({"op": "resized_crop"}, {"height": [-900.0]}, "height", 1e-5, "the logarithm of a positive"),
    ({"op": "resized_crop"}, {"height": [-30.0]}, "height", 1e-5, "from 1e-05 to 1"),
    (
        {"op": "erase"},
        {"center_x": [0.45], "height": [0.2], "width": [0.3]},
        "center_x",
        0.85,
        "the box must lie in the image, got center_y 0.5, center_x 0.95, height 0.2, width 0.3",
    ),
    ({"op": "erase"}, {"height": [-0.1]}, "height", 0, "-0.1, and must be from 0 to 1"),
    ({"op": "solarize"}, {"on": [1], "threshold": [1.2]}, "threshold", 1, "from 0 to 1"),
    ({"op": "gaussian_blur"}, {"sigma": [-0.1]}, "sigma", 0, "at least 0"),
    ({"op": "gaussian_noise"}, {"sigma": [-0.1]}, "sigma", 0, "at least 0"),
    ({"op": "elastic"}, {"alpha": [-0.1]}, "alpha", 0, "at least 0"),
    ({"op": "elastic"}, {"sigma": [-0.1]}, "sigma", 0, "at least 0"),
    ({"op": "salt_and_pepper"}, {"amount": [1.1]}, "amount", 1, "from 0 to 1"),
    ({"op": "salt_and_pepper"}, {"salt": [-1]}, "salt", 0, "from 0 to 1"),
    ({"op": "motion_blur"}, {"direction": [-2]}, "direction", -1, "from -1 to 1"),
    ({"op": "posterize"}, {"on": [1], "bits": [9]}, "bits", 8, "from 0 to 8"),
    ({"op": "jpeg"}, {"on": [1], "quality": [101]}, "quality", 100, "from 0 to 100"),
    (
        {"op": "jpeg"},
        {"on": [1]},
        "quality",
        1,
        "0, and a quality that is used must be at least 1, got on 1, quality 0",
    ),
    ({"op": "cutout_grid"}, {"ratio": [1.5]}, "ratio", 1, "from 0 to 1"),
    ({"op": "cutout_grid"}, {"unit": [-1]}, "unit", 0, "at least 0"),
    ({"op": "perspective"}, {"top_left_x": [0.6]}, "top_left_x", 0.5, "from 0 to 0.5"),
    ({"op": "perspective"}, {"bottom_left_y": [-0.1]}, "bottom_left_y", 0, "from 0 to 0.5"),
    ({"op": "thin_plate_spline"}, {"dx_3": [-0.7]}, "dx_3", -0.5, "from -0.5 to 0.5"),
    (
        {"op": "rotate90"},
        {"angle": [math.sin(0.2 * math.pi), 1 - math.cos(0.2 * math.pi)]},
        "angle",
        0,
        r"0.1 \(coded as sin 0.58.*, versin 0.19.*\), and the angle must be a whole number of qu",
    ),
    ({"op": "random_crop", "size": 4}, {"center_x": [0.6]}, "center_x", 1, "from 0 to 1"),
    # a margin of three boxes: a centre can be beyond the image, but not further than this
    ({"op": "random_crop", "size": 4, "padding": 12}, {"center_y": [-11]}, "center_y", -10, "-10"),
    ({"op": "scale"}, {"factor": [800.0]}, "factor", math.exp(709.78), "logarithm"),
    (
        {"op": "mix", "ops": BRANCHES},
        {"weight_1": [-0.5]},
        "weight_1",
        0,
        "-0.5, and must be from 0 to 1",
    ),
    ({"op": "one_of", "ops": BRANCHES}, {"hue.shift": [1, 0]}, "hue.shift", 0.125, "circle"),
    (
        {"op": "repeat", "times": 2, "ops": [{"op": "erase"}]},
        {"2.center_y": [0.5], "2.height": [0.5]},
        "2.center_y",
        0.75,
        "the box must lie in the image, got center_y 1, center_x 0.5, height 0.5, width 0:",
    ),
]


@pytest.mark.parametrize(("op", "columns", "slot", "nearest", "said"), BAD)
def test_a_bad_slot_is_named_and_the_nearest_is_taken(
    op: dict[str, Any], columns: dict[str, list[float]], slot: str, nearest: float, said: str
) -> None:
    pipeline, name = pipeline_of(op), f"{op['op']}.{slot}"
    code = code_with(pipeline, 2, {f"{op['op']}.{key}": value for key, value in columns.items()})
    code[4] = code[2]
    given = code.clone()
    with pytest.raises(CodeError, match=said) as caught:
        pipeline.decode({"v": code})
    (fault,) = caught.value.faults
    assert str(caught.value) == fault.message
    assert fault.message.startswith(f"code of view 'v', row 2: {name} is ")
    assert fault.message.endswith(" (and 1 further row)")
    assert "\n" not in fault.message
    assert (fault.view, fault.slot, fault.row, fault.rows) == ("v", name, 2, (2, 4))
    where = next(s.slice for s in pipeline.layouts["v"].slots if s.name == name)
    assert torch.equal(torch.tensor(fault.value), code[2, where]) or code[2, where].isnan().any()

    with pytest.warns(CodeWarning, match=f"'v': 2 of 5 rows changed to the .* code, in {name}$"):
        params = pipeline.decode({"v": code}, strict=False)["v"]
    assert params[name][2].item() == pytest.approx(nearest, rel=1e-4, abs=1e-6)
    good = pipeline.decode({"v": code[[0, 1, 3]]}, strict=None)["v"]
    trusted = pipeline.decode({"v": code}, strict=None)["v"]
    for key, value in params.items():
        assert torch.equal(value[[0, 1, 3]], good[key])
        if key != name:  # nothing but the slot that was bad has changed
            assert torch.equal(value, trusted[key])
    torch.testing.assert_close(code, given, rtol=0, atol=0, equal_nan=True)


def test_weights_that_sum_to_more_than_one_lose_the_same_part() -> None:
    pipeline = pipeline_of({"op": "mix", "ops": BRANCHES})
    names = [f"mix.weight_{k}" for k in (1, 2, 3)]
    code = code_with(pipeline, 0, dict(zip(names, [[0.9], [0.7], [0.05]], strict=True)))
    with pytest.raises(CodeError, match=r"sum to at most 1, got weight_1 0.9, weight_2 0.7, we"):
        pipeline.decode({"v": code})
    with pytest.warns(CodeWarning):
        params = pipeline.decode({"v": code}, strict=False)["v"]
    assert [params[name][0].item() for name in names] == pytest.approx([0.6, 0.4, 0], abs=1e-6)


def test_points_that_meet_have_no_spline() -> None:
    """The upper left corner and the middle, half way to each other: each is possible by itself."""
    pipeline = pipeline_of({"op": "thin_plate_spline", "scale": 0.5})
    meeting = {"dx_1": [0.5], "dy_1": [0.5], "dx_5": [-0.5], "dy_5": [-0.5]}
    code = code_with(pipeline, 1, {f"thin_plate_spline.{k}": v for k, v in meeting.items()})
    image = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    params = pipeline.decode({"v": code}, strict=None)
    assert not pipeline.apply(image, params)["v"].isfinite().all()
    with pytest.raises(CodeError, match="no corner may meet the middle"):
        pipeline.decode({"v": code})
    with pytest.warns(CodeWarning):
        params = pipeline.decode({"v": code}, strict=False)
    assert pipeline.apply(image, params)["v"].isfinite().all()


def every_op() -> list[Op]:
    found: list[Op] = []
    for tag, cls in OPS.items():
        found.append(cls())
        found += [loads_model(cls, json.dumps({"op": tag, **e})) for e in cls.examples]
    return [op for op in found if op.parameters()]


def alone(op: Op) -> Pipeline:
    # not from a document: an op that can never act is a mistake in a spec
    spec = augspec.loads(json.dumps({"version": 1, "name": "t", "views": {"v": {"ops": []}}}))
    view = spec.views["v"].model_copy(update={"ops": (op,)})
    return augspec.compile(spec.model_copy(update={"views": {"v": view}}))


@pytest.mark.parametrize("op", every_op(), ids=lambda op: json.dumps(op.model_dump(mode="json")))
def test_what_an_op_draws_is_valid(op: Op) -> None:
    pipeline = alone(op)
    drawn = pipeline.draw(torch.arange(3000), 1, (33, 33))
    params = pipeline.decode(drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nearest = pipeline.decode(drawn, strict=False)
        pipeline.decode(pipeline.encode(params, dtype=torch.float64))
    trusted = pipeline.decode(drawn, strict=None)
    for key, value in trusted["v"].items():
        assert torch.equal(params["v"][key], value)
        assert torch.equal(nearest["v"][key], value)


RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_a_published_recipe_draws_is_valid(path: Path) -> None:
    pipeline = augspec.load_pipeline(path)
    assert len(RECIPES) > 10
    pipeline.decode(pipeline.draw(torch.arange(300), 3, (96, 96)))


@pytest.mark.parametrize("size", [(3, 7), (97, 203), (1000, 999), (40_000, 30_011)])
def test_boxes_that_touch_the_edges_are_valid(size: tuple[int, int]) -> None:
    pipeline = pipeline_of(
        {"op": "resized_crop", "area": [0.3, 1], "size": 8},
        {"op": "erase", "area": [0.2, 0.9]},
        {"op": "random_crop", "size": 4, "padding": 12},
    )
    drawn = pipeline.draw(torch.arange(5000), 0, size)
    p = pipeline.decode(drawn)["v"]
    low = p["resized_crop.center_x"] - p["resized_crop.width"] / 2
    high = p["resized_crop.center_x"] + p["resized_crop.width"] / 2
    if max(size) < 10_000:
        assert (low.abs() < TOLERANCE).any() and ((high - 1).abs() < TOLERANCE).any()
        # the test is about rounding, so it must have been there
        assert ((low < 0) | (high > 1)).any() or max(size) < 10


@examples(30)
@given(case=cases(), seed=st.integers(0, 2**31), spread=st.sampled_from([0.1, 1.0, 10.0, 1e6]))
def test_garbage_becomes_valid_and_stays(case: Case, seed: int, spread: float) -> None:
    pipeline = case.pipeline()
    drawn = pipeline.draw(torch.arange(40), seed, case.size)
    pipeline.decode(drawn)
    generator = torch.Generator().manual_seed(seed)
    for view in pipeline.plan.views:
        shape = (40, view.layout.width)
        code = spread * torch.randn(shape, generator=generator)
        code[torch.rand(shape, generator=generator) < 0.05] = math.nan
        code[torch.rand(shape, generator=generator) < 0.05] = -math.inf
        kept = torch.rand(shape, generator=generator) < 0.5
        code = torch.where(kept, drawn[view.name], code)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            params = pipeline.decode({view.name: code}, strict=False)
        try:
            pipeline.decode({view.name: code})
            assert not caught
        except CodeError as error:
            (said,) = caught
            rows = {row for fault in error.faults for row in fault.rows}
            assert f"{len(rows)} of 40 rows changed" in str(said.message)
            bad = {fault.slot: fault.rows for fault in error.faults}
            trusted = pipeline.decode({view.name: code}, strict=None)[view.name]
            for slot in view.layout.slots:
                good = torch.ones(40, dtype=torch.bool)
                good[list(bad.get(slot.name, ()))] = False
                assert torch.equal(params[view.name][slot.name][good], trusted[slot.name][good])
        if not params[view.name]:
            continue
        # the canonical code of what was made of it is valid, and nothing moves it again
        again = pipeline.encode(params)
        pipeline.decode(again)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipeline.decode(again, strict=False)


@examples(15)
@given(case=cases(), seed=st.integers(0, 2**31))
def test_what_becomes_of_garbage_can_be_rendered(case: Case, seed: int) -> None:
    pipeline, images = case.pipeline(), case.images(6)
    generator = torch.Generator().manual_seed(seed)
    for view in pipeline.plan.views:
        code = 2 * torch.randn((6, view.layout.width), generator=generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CodeWarning)
            params = pipeline.decode({view.name: code}, strict=False)
        assert pipeline.apply(images, params)[view.name].isfinite().all()


JITTER = {"op": "color_jitter", "brightness": 0.4, "hue": 0.1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_valid_code_is_not_touched(dtype: torch.dtype) -> None:
    """Neither its bits nor its gradient: the check looks on, in either mode."""
    pipeline = pipeline_of({"op": "resized_crop", "size": 8}, JITTER, SOLARIZE)
    params = pipeline.decode(pipeline.draw(torch.arange(16), 0, (24, 24)))
    gradients = []
    for strict in (True, False, None):
        code = pipeline.encode(params, dtype=dtype)["v"].requires_grad_()
        found = pipeline.decode({"v": code}, strict=strict)["v"]
        torch.stack([v.square().sum() for v in found.values() if v.requires_grad]).sum().backward()
        assert code.grad is not None and (code.grad != 0).any()
        gradients.append(code.grad)
    assert torch.equal(gradients[0], gradients[2])
    assert torch.equal(gradients[1], gradients[2])


def test_the_gradient_passes_where_nothing_was_changed() -> None:
    pipeline = pipeline_of({"op": "brightness"}, {"op": "gaussian_noise"})
    code = torch.tensor([[-1.5, 0.1, 0.2], [0.2, 0.1, 0.2]], requires_grad=True)
    with pytest.warns(CodeWarning, match=r"1 of 2 rows .* in brightness\.factor$"):
        params = pipeline.decode({"v": code}, strict=False)["v"]
    (params["brightness.factor"] + 3 * params["gaussian_noise.sigma"]).sum().backward()
    assert code.grad is not None
    assert code.grad.tolist() == [[0, 0, 3], [1, 0, 3]]


def test_what_no_draw_gives_but_is_possible_is_valid() -> None:
    """A stronger jitter; what an op that is off does not use; two branches at once; a tie."""
    pipeline = pipeline_of(
        JITTER,
        SOLARIZE,
        {"op": "one_of", "ops": BRANCHES},
        {"op": "translate"},
        {"op": "posterize"},
    )
    code = code_with(
        pipeline,
        0,
        {
            "color_jitter.brightness": [6.0],
            "color_jitter.contrast": [0.5],
            "color_jitter.order": [1, 0, 0, 1, 0, 0],
            "solarize.threshold": [0.7],
            "one_of.brightness.factor": [0.5],
            "one_of.grayscale.gray": [1.0],
            "translate.x": [-1.5],
            "posterize.on": [1.0],
            "posterize.bits": [3.4],
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = pipeline.decode({"v": code}, strict=False)
    assert pipeline.encode(pipeline.decode({"v": code}))["v"].shape == code.shape
    assert params["v"]["color_jitter.brightness"][0] == 7


def test_rounding_is_forgiven_and_more_is_not() -> None:
    crop = pipeline_of({"op": "resized_crop"})
    for centre, fine in ((-0.25 - 1e-6, True), (-0.25 - 1e-5, False)):
        code = code_with(
            crop, 0, {"resized_crop.center_y": [centre], "resized_crop.height": log(0.5)}
        )
        assert _is_valid(crop, code) == fine
    six_digits = {"resized_crop.center_y": [-0.333333], "resized_crop.height": [-1.098612]}
    assert _is_valid(crop, code_with(crop, 0, six_digits))
    hue = pipeline_of({"op": "hue"})
    for versin, fine in ((0.1910, True), (0.1915, False)):  # a tenth of a turn, in four digits
        assert _is_valid(hue, code_with(hue, 0, {"hue.shift": [0.5878, versin]})) == fine
    gray = pipeline_of({"op": "grayscale"})
    for bit, fine in ((1 - 1e-6, True), (1 - 1e-5, False)):
        assert _is_valid(gray, code_with(gray, 0, {"grayscale.gray": [bit]})) == fine


def _is_valid(pipeline: Pipeline, code: Tensor) -> bool:
    try:
        pipeline.decode({"v": code})
    except CodeError:
        return False
    return True


def test_every_view_is_checked_and_the_first_bad_slots_are_listed() -> None:
    ops = [{"op": tag} for tag in ("brightness", "contrast", "saturation", "sharpness")]
    pipeline = pipeline_of(views={"v": {"ops": ops}, "w": {"ops": ops}})
    code = torch.full((3, 4), -2.0)
    with pytest.raises(CodeError) as caught:
        pipeline.decode({"v": code, "w": code[:1]})
    faults, lines = caught.value.faults, str(caught.value).split("\n")
    assert [f.view for f in faults] == ["v"] * 4 + ["w"] * 4
    assert lines[:SHOWN] == [f.message for f in faults[:SHOWN]]
    assert lines[SHOWN:] == [f"and {8 - SHOWN} further slots with bad rows"]
    assert "row 0: saturation.factor is -1" in lines[2]
    assert "(and 2 further rows)" in lines[0] and "further" not in lines[4]
    with pytest.warns(CodeWarning) as warned:
        pipeline.decode({"v": code, "w": code[:1]}, strict=False)
    said = [str(w.message) for w in warned]
    assert [s.split(" changed")[0] for s in said] == [
        "code of view 'v': 3 of 3 rows",
        "code of view 'w': 1 of 1 row",
    ]
    assert {w.filename for w in warned} == {__file__}  # where `decode` was called


@pytest.mark.parametrize("strict", [True, False])
def test_what_cannot_be_projected_is_refused(strict: bool) -> None:
    pipeline = pipeline_of(JITTER)
    for shape in ((2, 12), (2, 10), (11,), (2, 11, 1)):
        with pytest.raises(ValueError, match=r"codes of view 'v' must be \(B, 11\), got"):
            pipeline.decode({"v": torch.zeros(shape)}, strict=strict)
    for dtype in (torch.int64, torch.bool, torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match=f"must be float32 or float64, got {dtype}"):
            pipeline.decode({"v": torch.zeros(2, 11, dtype=dtype)}, strict=strict)
    with pytest.raises(KeyError, match="no view 'V'; did you mean 'v'"):
        pipeline.decode({"V": torch.zeros(2, 11)}, strict=strict)


def test_no_rows_and_no_columns_are_valid() -> None:
    pipeline = pipeline_of(JITTER, views={"v": {"ops": [JITTER]}, "plain": {"ops": []}})
    for strict in (True, False, None):
        codes = {"v": torch.zeros(0, 11), "plain": torch.zeros(3, 0)}
        params = pipeline.decode(codes, strict=strict)
        assert params["v"]["color_jitter.hue"].shape == (0,) and not params["plain"]


class Recording(Pipeline):
    """Notes how its codes are to be checked."""

    modes: list[bool | None]

    def decode(self, *args: Any, strict: bool | None = True, **kwargs: Any) -> Any:
        self.modes = [*getattr(self, "modes", []), strict]
        return super().decode(*args, strict=strict, **kwargs)


def test_a_pipeline_trusts_its_own_draws() -> None:
    spec = augspec.loads(json.dumps({"version": 1, "name": "t", "views": {"v": {"ops": [JITTER]}}}))
    pipeline = Recording(make_plan(spec))
    pipeline(torch.rand(2, 3, 8, 8), ids=torch.arange(2), epoch=0)
    assert pipeline.modes == [None]


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (aten._local_scalar_dense, aten.nonzero, aten.equal):
            raise AssertionError(f"{func} needs the host")
        return func(*args, **(kwargs or {}))


def test_trusted_codes_are_not_looked_at() -> None:
    pipeline = pipeline_of({"op": "resized_crop"}, JITTER, SOLARIZE, {"op": "mix", "ops": BRANCHES})
    codes = pipeline.draw(torch.arange(4), 0, (16, 16))
    with NoWaiting():
        pipeline.decode(codes, strict=None)
        for strict in (True, False):
            with pytest.raises(AssertionError, match="needs the host"):
                pipeline.decode(codes, strict=strict)


@pytest.mark.gpu
def test_trusted_codes_do_not_make_the_host_wait() -> None:
    pipeline = pipeline_of({"op": "resized_crop"}, JITTER, SOLARIZE).cuda()
    code = pipeline.draw(torch.arange(4).cuda(), 0, (16, 16))["v"]
    pipeline.decode({"v": code})  # what is made once
    torch.cuda.set_sync_debug_mode("error")
    try:
        pipeline.decode({"v": code}, strict=None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(CodeError, match=r"row 3: solarize\.on is 0\.5"):
        code[3, -2] = 0.5
        pipeline.decode({"v": code})
