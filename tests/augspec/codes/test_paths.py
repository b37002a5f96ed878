"""Paths from the identity to a code: their ends, what lies between, and what of it is smooth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec import Pipeline, interpolate, jumps
from augspec.encoding.codecs import Angle, Log
from augspec.language.codes import Code
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op

SIZE = (20, 24)
PARTS = (0.0, 1e-30, 1e-6, 0.01, 0.25, 0.4, 0.5, 0.5 + 1e-9, 0.6, 0.9, 1 - 1e-9, 1.0)
B = 12


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors are tiny here: a second thread would only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def every_op() -> list[Op]:
    """Each op with parameters, by default and in the ways that its file says reach its corners."""
    found = []
    for tag, cls in OPS.items():
        documents = [{"op": tag}, *({"op": tag, **fields} for fields in cls.examples)]
        ops = [loads_model(cls, json.dumps(document)) for document in documents]
        found += [op for op in ops if op.parameters() and op.gate > 0 and op.can_act]
    return found


def label(op: Op) -> str:
    return json.dumps(op.model_dump(mode="json", exclude_defaults=True))


ALL = pytest.mark.parametrize("op", every_op(), ids=label)


def compiled(*ops: dict[str, Any]) -> Pipeline:
    document = {"version": 1, "name": "t", "views": {"v": {"ops": [*ops]}}}
    return augspec.compile(augspec.loads(json.dumps(document)), seed=1)


def size_for(op: Op) -> tuple[int, int]:
    refused = any(fault.code == Code.IMAGE_SIZE for fault in op.faults(Incoming(SIZE)))
    return (SIZE[0], SIZE[0]) if refused else SIZE


def at(pipeline: Pipeline, code: Tensor, s: float) -> Tensor:
    return interpolate(pipeline, {"v": code}, s)["v"]


def along(pipeline: Pipeline, code: Tensor, parts: tuple[float, ...]) -> Tensor:
    """The codes at each part, `(S B, E)`."""
    s = torch.tensor(parts, dtype=torch.float64).repeat_interleave(len(code))
    return interpolate(pipeline, {"v": code.repeat(len(parts), 1)}, s)["v"]


@ALL
def test_every_slot_goes_its_declared_way_through_codes_that_can_be_drawn(op: Op) -> None:
    pipeline = compiled(op.model_dump(mode="json"))
    code = pipeline.draw(torch.arange(B), 0, size_for(op))["v"]
    codes = along(pipeline, code, PARTS)
    params = pipeline.decode({"v": codes})  # it refuses what no op could have
    assert torch.equal(pipeline.encode(params)["v"], codes)
    path = codes.unflatten(0, (len(PARTS), B))
    assert path.dtype == torch.float32
    assert not path[0].any() and not torch.signbit(path[0]).any()
    assert torch.equal(path[-1], code)
    s = torch.tensor(PARTS, dtype=torch.float64)[:, None]
    codecs = {f"{op.tag()}.{p.name}": p for p in op.parameters()}
    for slot in pipeline.layouts["v"].slots:
        p = codecs[slot.name]
        way = op.motions()[p.name]
        columns, whole = path[..., slot.slice], code[:, slot.slice]
        if way == "moves":
            value = params["v"][slot.name].unflatten(0, (len(PARTS), B))
            displaced = value.log() if isinstance(p.codec, Log) else value - p.identity
            slack = {"rtol": 2e-7, "atol": 1.0 / Angle.GRID}
            torch.testing.assert_close(displaced, s * displaced[-1], **slack)
        elif way == "jumps":
            assert torch.equal(columns, torch.where(s[..., None] > 0.5, whole, 0.0))
        elif way == "holds":
            assert ((columns == whole) | (columns == 0)).all()
            if not isinstance(op, Combinator):  # its ops may begin to act later
                assert torch.equal(columns[3:], whole.expand_as(columns[3:]))
    assert jumps(pipeline)["v"].keys() == {
        f"{op.tag()}.{name}"
        for name, way in op.motions().items()
        if way != "moves" and codecs[f"{op.tag()}.{name}"].codec.width
    }


SMOOTH = [
    op
    for op in every_op()
    if all(p.differentiable or op.motions()[p.name] == "holds" for p in op.parameters())
    and not {"jumps", "follows"} & set(op.motions().values())
]


@pytest.mark.parametrize("op", SMOOTH, ids=label)
def test_where_all_slots_are_smooth_the_view_goes_there_continuously(op: Op) -> None:
    pipeline, size, n = compiled(op.model_dump(mode="json")), size_for(op), 8
    near, far = (1 - 1e-5, 1e-5, 0.5), (1.0, 0.0, 0.5 + 1e-5)
    code = pipeline.draw(torch.arange(n), 0, size)["v"]
    seeds = pipeline.seeds(torch.arange(n), 0, size)["v"]
    seeds = {name: seed.repeat(len(near) + len(far)) for name, seed in seeds.items()}
    x = torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    params = pipeline.decode({"v": along(pipeline, code, near + far)}, {"v": seeds})
    views = pipeline.apply(x.repeat(len(near) + len(far), 1, 1, 1), params)["v"]
    near_views, far_views = views.split(len(near) * n)
    assert (near_views - far_views).abs().max() < 0.01
    whole, start, half = far_views.split(n)
    assert op.output_size(size) != size or torch.equal(start, x)
    assert (half != whole).any()


def test_smooth_ops_are_most_of_those_that_move_something() -> None:
    tags = {op.tag() for op in SMOOTH}
    assert tags >= {"resized_crop", "color_jitter", "rotate", "gaussian_blur", "elastic", "mix"}
    assert not tags & {"solarize", "horizontal_flip", "jpeg", "random_crop", "erase", "rotate90"}


def test_what_jumps_is_said() -> None:
    jitter = {"op": "color_jitter", "hue": 0.1, "brightness": 0.2}
    flip, blur, quality = {"op": "horizontal_flip"}, {"op": "gaussian_blur"}, {"op": "jpeg"}
    again = {"op": "repeat", "times": 2, "ops": [flip, blur]}
    pipeline = compiled(jitter, quality, {"op": "erase"}, {"op": "mix", "ops": [flip, blur]}, again)
    assert jumps(pipeline) == {
        "v": {
            "color_jitter.order": 0.0,
            "jpeg.on": 0.5,
            "jpeg.quality": 0.5,
            "erase.center_y": 0.0,
            "erase.center_x": 0.0,
            "mix.weight_1": 0.5,
            "mix.horizontal_flip.flip": 0.5,
            **{
                f"repeat.{k}.{name}": 0.5
                for k in (1, 2)
                for name in ("horizontal_flip.flip", "gaussian_blur.sigma")
            },
        }
    }


def test_what_follows_a_jump_stays_canonical() -> None:
    """A flip, then a blur: while the flip does not act yet, the blur is the first, and alone."""
    flip, blur = {"op": "horizontal_flip"}, {"op": "gaussian_blur", "sigma": [1, 2]}
    pipeline = compiled({"op": "repeat", "ops": [{"op": "one_of", "ops": [flip, blur]}]})
    drawn = pipeline.draw(torch.arange(64), 0, (16, 16))["v"]
    code = drawn[(drawn[:, 0] == 1) & (drawn[:, 3] > 0)]
    assert len(code)
    half, later = at(pipeline, code, 0.5), at(pipeline, code, 0.75)
    idle = torch.zeros_like(code[:, 3])
    assert torch.equal(half, torch.stack([idle, code[:, 3] / 2, idle, idle], dim=1))
    assert torch.equal(later, code * torch.tensor([1, 1, 1, 0.75]))

    mixed = compiled({"op": "mix", "strength": [0.5, 1], "ops": [flip, blur]})
    code = mixed.draw(torch.arange(4), 0, (16, 16))["v"]
    assert (at(mixed, code, 0.5)[:, [0, 2]] == 0).all()
    torch.testing.assert_close(at(mixed, code, 0.75)[:, [0, 1, 3]], code[:, [0, 1, 3]] * 0.75)


def test_half_way_nothing_that_jumps_acts_yet() -> None:
    """The quality of a JPEG file, say, means nothing without its bit."""
    pipeline = compiled({"op": "jpeg"}, {"op": "rotate90", "quarters": [2]}, {"op": "solarize"})
    code = pipeline.draw(torch.arange(4), 0, (16, 16))["v"]
    x = torch.rand(4, 3, 16, 16)
    half, after = (pipeline.decode({"v": at(pipeline, code, s)}) for s in (0.5, 0.5 + 1e-9))
    assert torch.equal(pipeline.apply(x, half)["v"], x)
    assert torch.equal(
        pipeline.apply(x, after)["v"], pipeline.apply(x, pipeline.decode({"v": code}))["v"]
    )


def test_a_field_keeps_its_shape_and_gets_weaker() -> None:
    pipeline = compiled({"op": "elastic", "alpha": 40, "sigma": 3}, {"op": "cutout_grid"})
    code = pipeline.draw(torch.arange(4), 0, (32, 32))["v"]
    half, whole = (pipeline.decode({"v": at(pipeline, code, s)})["v"] for s in (0.5, 1.0))
    assert torch.equal(half["elastic.sigma"], whole["elastic.sigma"])
    torch.testing.assert_close(half["elastic.alpha"], whole["elastic.alpha"] / 2)
    assert torch.equal(half["cutout_grid.unit"], whole["cutout_grid.unit"])
    seeds = pipeline.seeds(torch.arange(4), 0, (32, 32))
    grid = compiled({"op": "cutout_grid"})
    x = torch.ones(4, 3, 32, 32)
    holes = [
        grid.apply(x, {"v": {k: v for k, v in p.items() if k.startswith("cutout")}})["v"] == 0
        for p in (half, whole)
    ]
    assert (holes[0] <= holes[1]).all()  # holes grow where they are
    assert holes[0].any() and (holes[0] != holes[1]).any()
    assert "elastic.seed" in seeds["v"]


@settings(max_examples=100)
@given(
    size=st.tuples(st.floats(1e-3, 1.0), st.floats(1e-3, 1.0)),
    place=st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)),
)
def test_a_box_stays_in_the_image(size: tuple[float, float], place: tuple[float, float]) -> None:
    """Where it touches the edge at the end, too; the docstring has the proof."""
    pipeline = CROP
    (h, w), (y, x) = size, place
    centre = 0.5 + y * (1 - h) / 2, 0.5 + x * (1 - w) / 2
    values = dict(zip(("center_y", "center_x", "height", "width"), (*centre, h, w), strict=True))
    s = torch.linspace(0, 1, 41, dtype=torch.float64)
    params = {f"resized_crop.{k}": torch.full_like(s, v) for k, v in values.items()}
    code = pipeline.encode({"v": params}, dtype=torch.float64)
    found = pipeline.decode(interpolate(pipeline, code, s))["v"]
    for side, middle in (("height", "center_y"), ("width", "center_x")):
        half, centres = found[f"resized_crop.{side}"] / 2, found[f"resized_crop.{middle}"]
        assert (centres - half >= -1e-12).all() and (centres + half <= 1 + 1e-12).all()
        assert (half.diff() <= 1e-15).all()  # monotone
    torch.testing.assert_close(found["resized_crop.height"], h**s, rtol=1e-12, atol=0)


CROP = compiled({"op": "resized_crop", "size": 8})


def test_gradients_reach_the_code_and_the_part() -> None:
    jitter = {"op": "color_jitter", "hue": 0.2}
    jitter |= dict.fromkeys(("brightness", "contrast", "saturation"), 0.4)
    blur = {"op": "gaussian_blur", "kernel": 3, "sigma": [0.5, 1.0]}
    crop = {"op": "resized_crop", "size": 8, "area": [0.2, 0.4]}
    pipeline = compiled(crop, jitter, blur, {"op": "rotate"}, {"op": "gamma"}, {"op": "planckian"})
    code = pipeline.draw(torch.arange(40), 0, (16, 16))["v"].double()
    box = pipeline.decode({"v": code})["v"]
    reach = (box["resized_crop.center_y"] - 0.5).abs() + box["resized_crop.height"] / 2
    across = (box["resized_crop.center_x"] - 0.5).abs() + box["resized_crop.width"] / 2
    code = code[(reach < 0.49) & (across < 0.49)][:3]
    assert len(code) == 3
    parts = torch.tensor([0.2, 0.7, 0.97], dtype=torch.float64)
    code.requires_grad_()
    parts.requires_grad_()

    def forward(code: Tensor, s: Tensor) -> Tensor:
        return interpolate(pipeline, {"v": code}, s)["v"]

    assert torch.autograd.gradcheck(forward, (code, parts), fast_mode=True)
    grads = torch.autograd.grad(forward(code, parts).square().sum(), (code, parts))
    order = pipeline.layouts["v"].slots[8]
    assert order.name == "color_jitter.order"
    reached, there = (part[:, : order.start] != 0 for part in (grads[0], code))
    assert torch.equal(reached, there) and there.double().mean() > 0.9  # 0 squared has none
    assert (grads[1] != 0).all()

    x = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    parts = parts.detach().requires_grad_()
    view = pipeline.apply(x, pipeline.decode({"v": forward(code.detach(), parts)}))["v"]
    (to_part,) = torch.autograd.grad(view.square().sum(), parts)
    assert to_part.isfinite().all() and (to_part != 0).all()


def test_each_sample_has_a_part_of_its_own() -> None:
    pipeline = compiled({"op": "color_jitter", "hue": 0.2}, {"op": "resized_crop", "size": 8})
    codes = pipeline.draw(torch.arange(5), 0, (16, 16))
    s = torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0])
    together = interpolate(pipeline, codes, s)["v"]
    for row, part in enumerate(s.double().tolist()):
        assert torch.equal(together[row], at(pipeline, codes["v"], part)[row])


def test_a_view_without_columns_and_an_empty_batch() -> None:
    document = {"original": {"ops": [{"op": "resize", "size": 8}]}, "v": {"ops": [{"op": "hue"}]}}
    text = json.dumps({"version": 1, "name": "t", "views": document})
    pipeline = augspec.compile(augspec.loads(text))
    codes = pipeline.draw(torch.arange(3), 0, (16, 16))
    found = interpolate(pipeline, codes, 0.5)
    assert found.keys() == {"original", "v"}
    assert found["original"].shape == (3, 0)
    assert interpolate(pipeline, {"v": codes["v"][:0]}, 0.5)["v"].shape == (0, 2)
    assert jumps(pipeline) == {"original": {}, "v": {}}


@pytest.mark.parametrize(
    ("s", "words"),
    [
        (-0.1, r"s must lie in \[0, 1\], got -0.1"),
        (1.5, "got 1.5"),
        (float("nan"), "got nan"),
        (torch.tensor([0.0, 1.0, 7.0]), "got 7.0"),
        (torch.zeros(2), r"s must be a number or \(3,\), got \(2,\)"),
        (torch.zeros(3, 1), r"got \(3, 1\)"),
    ],
)
def test_parts_that_are_none(s: float | Tensor, words: str) -> None:
    pipeline = compiled({"op": "hue"})
    with pytest.raises(ValueError, match=words):
        interpolate(pipeline, {"v": torch.zeros(3, 2)}, s)


def test_what_is_no_code_is_refused() -> None:
    pipeline = compiled({"op": "hue"}, {"op": "horizontal_flip"})
    with pytest.raises(KeyError, match="no view 'w'"):
        interpolate(pipeline, {"w": torch.zeros(3, 3)}, 0.5)
    with pytest.raises(ValueError, match=r"codes of view 'v' must be \(B, 3\)"):
        interpolate(pipeline, {"v": torch.zeros(3, 2)}, 0.5)
    with pytest.raises(ValueError, match=r"horizontal_flip\.flip"):
        interpolate(pipeline, {"v": torch.tensor([[0.0, 0.0, 0.3]])}, 0.5)


RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_published_recipes(recipe: Path) -> None:
    spec = augspec.load(recipe)
    pipeline = augspec.compile(spec)
    codes = pipeline.draw(torch.arange(12), 0, spec.input_size or (64, 64))
    s = torch.tensor([0.0, 0.3, 0.8, 1.0], dtype=torch.float64).repeat_interleave(12)
    path = interpolate(pipeline, {name: code.repeat(4, 1) for name, code in codes.items()}, s)
    pipeline.decode(path)  # all valid
    for name, code in codes.items():
        start, _, _, end = path[name].split(12)
        assert torch.equal(end, code)
        assert not start.any()
