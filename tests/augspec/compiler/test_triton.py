"""Views with the Triton backend: the pixels of the reference, and what it refuses.

Views are rendered in Triton's interpreter, and on a GPU where there is one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import given, settings
from random_specs import Case, cases
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from triton_interpreter import interpreted

import augspec
from augspec import Pipeline
from augspec.compiler import triton
from augspec.compiler.output import Output
from augspec.compiler.schedule import Stage
from augspec.compiler.triton import TritonRenderer, lacking, refuses
from augspec.kernels.ragged import Ragged
from augspec.kernels.taps import Taps

pytest.importorskip("triton")

SPEC = """
version: 1
name: t
normalize: {{mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}}
views:
  first: {{ops: [{ops}]}}
"""
Render = Callable[..., dict[str, Tensor]]
FORMS = pytest.mark.parametrize("geometry", [True, False], ids=["everything", "colours"])


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def render(request: pytest.FixtureRequest) -> Render:
    """Renders all views in the interpreter, or on a GPU."""

    def run(
        pipeline: Pipeline,
        x: Tensor,
        params: dict[str, dict[str, Tensor]],
        output: Output | None = None,
        *,
        geometry: bool = True,
    ) -> dict[str, Tensor]:
        renderer = TritonRenderer(pipeline.plan, geometry=geometry)
        output = output or pipeline.output
        if request.param == "interpreter":
            return interpreted(renderer.render, x, params, output)
        there = {
            view: {name: value.cuda() for name, value in own.items()}
            for view, own in params.items()
        }
        found = renderer.render(x.cuda(), there, output)
        return {name: view.cpu() for name, view in found.items()}

    return run


def images(photos: list[Path], batch: int, size: int) -> Tensor:
    """Patches of photographs, `(batch, 3, size, size)` uint8."""
    crops = [decode_image(str(path), ImageReadMode.RGB) for path in photos[:batch]]
    return torch.stack([TF.center_crop(crop, [size, size]) for crop in crops])


def pipeline_of(ops: str) -> Pipeline:
    return augspec.compile(augspec.loads(SPEC.format(ops=ops)), seed=5, backend="eager")


def kinds(pipeline: Pipeline, geometry: bool = True, size: int = 32) -> list[str]:
    """What the view `first` is made in: the ops of a stage joined."""
    renderer = TritonRenderer(pipeline.plan, geometry=geometry)
    stages = renderer.stages(pipeline.plan.view("first"), (size, size))
    return [f"{stage.kind}: {' '.join(step.id for step in stage.steps)}" for stage in stages]


def assert_close(mine: Tensor, theirs: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


@FORMS
@pytest.mark.parametrize("name", ["simclr-cifar10", "byol-cifar10"])
def test_recipes_have_the_pixels_of_the_reference(
    root: Path, photos: list[Path], render: Render, name: str, geometry: bool
) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / f"{name}.yaml")
    pipeline, x = augspec.compile(spec, seed=1, backend="eager"), images(photos, 6, 32)
    batch = pipeline(x, ids=torch.arange(6), epoch=2)
    found = render(pipeline, x, batch.params, geometry=geometry)
    assert list(found) == list(batch.views)
    for name, view in batch.views.items():
        assert_close(found[name], view, 5e-5)  # normalised: about 5 times what pixels differ by


def test_what_simclr_is_made_in(root: Path) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml")
    pipeline = augspec.compile(spec, backend="eager")
    assert kinds(pipeline) == [
        "resample: resized_crop horizontal_flip",
        "chain: color_jitter grayscale",
    ]
    assert kinds(pipeline, geometry=False) == [
        "step: resized_crop",
        "step: horizontal_flip",
        "chain: color_jitter grayscale",
    ]


def test_views_that_begin_with_a_resample_are_one_batch() -> None:
    crop = "[{op: resized_crop, size: 8}, {op: invert, p: 0.5}]"
    spec = f"{{version: 1, name: t, views: {{a: {{ops: {crop}}}, b: {{ops: []}}, "
    spec += f"c: {{ops: {crop}}}, d: {{ops: []}}}}}}"
    plan = augspec.compile(augspec.loads(spec)).plan
    for geometry, together in ((True, [["a", "c"], ["b"], ["d"]]), (False, list("acbd"))):
        batches = TritonRenderer(plan, geometry=geometry).batches(("a", "b", "c", "d"), (16, 16))
        assert [[view.name for view in batch] for batch in batches] == list(map(list, together))


GEOMETRY = {
    "a crop from around the image, mirrored twice": (
        "{op: random_crop, size: [28, 36], padding: 9}, {op: horizontal_flip, p: 0.5},"
        "{op: vertical_flip, p: 0.5}",
        ["resample: random_crop horizontal_flip vertical_flip", "chain: "],
    ),
    "a resize, and windows into it": (
        "{op: resize, size: [40, 30], interpolation: bicubic}, {op: horizontal_flip, p: 0.5},"
        "{op: center_crop, size: [36, 20]}, {op: grayscale, p: 0.5}",
        ["resample: resize horizontal_flip center_crop", "chain: grayscale"],
    ),
    "a window around all of a resize": (
        "{op: resize, size: [14, 40]}, {op: center_crop, size: [20, 30]}",
        ["resample: resize center_crop", "chain: "],
    ),
    "resamples of resamples": (
        "{op: resized_crop, size: [20, 24], antialias: false}, {op: pad, padding: 3},"
        "{op: random_crop, size: 20, padding: 2}, {op: resize, size: 12, interpolation: nearest}",
        ["resample: resized_crop pad", "resample: random_crop", "resample: resize", "chain: "],
    ),
    "an op between": (
        "{op: resized_crop, size: 24}, {op: rotate}, {op: horizontal_flip, p: 0.5}",
        ["resample: resized_crop", "step: rotate", "resample: horizontal_flip", "chain: "],
    ),
}


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("channels", [1, 3])
def test_geometry(photos: list[Path], render: Render, name: str, channels: int) -> None:
    ops, stages = GEOMETRY[name]
    text = SPEC.format(ops=ops).replace("normalize", f"image: {{channels: {channels}}}\nnormalize")
    if channels == 1:
        text = text.replace("[0.4, 0.5, 0.6]", "[0.4]").replace("[0.2, 0.25, 0.3]", "[0.2]")
        text = text.replace("{op: grayscale, p: 0.5}", "{op: invert, p: 0.5}")
        stages = [stage.replace("grayscale", "invert") for stage in stages]
    pipeline = augspec.compile(augspec.loads(text), seed=5, backend="eager")
    assert kinds(pipeline) == stages
    x = images(photos, 5, 32)[:, :channels, :, :30]
    batch = pipeline(x, ids=torch.arange(5), epoch=0)
    assert_close(render(pipeline, x, batch.params)["first"], batch.views["first"], 5e-5)


@given(cases())
@settings(max_examples=30)
def test_any_spec_is_rendered_as_by_the_reference(case: Case) -> None:
    small = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    x = torch.nn.functional.interpolate(small, case.size, mode="bicubic").clamp(0, 1)
    x = x[:, : case.spec.image.channels]
    pipeline = augspec.compile(case.spec, backend="eager")
    batch = pipeline(x, ids=torch.arange(3), epoch=1)
    renderer = TritonRenderer(pipeline.plan)
    found = interpreted(renderer.render, x, batch.params, pipeline.output)
    for name, view in batch.views.items():
        assert found[name].shape == view.shape
        # a rounded pixel may fall on the other side of a threshold, of a median or of a tie
        assert ((found[name] - view).abs() > 1e-4).float().mean() < 0.02, name


def test_merged_ops_are_one_resample_still(photos: list[Path], render: Render) -> None:
    ops = "{op: rotate}, {op: resized_crop, size: 20}, {op: invert, p: 0.5}"
    spec = augspec.loads(SPEC.format(ops=ops))
    pipeline = augspec.compile(spec, seed=5, backend="eager", merge=True)
    assert kinds(pipeline) == ["merged: rotate resized_crop", "chain: invert"]
    x = images(photos, 4, 32)
    batch = pipeline(x, ids=torch.arange(4), epoch=0)
    assert_close(render(pipeline, x, batch.params)["first"], batch.views["first"])


def test_bytes_colours_and_output_are_one_launch(photos: list[Path], render: Render) -> None:
    """Larger than a block, and with two contrasts; the views come out in 16 bits."""
    pipeline = pipeline_of(
        "{op: contrast, factor: [0.5, 1.5]}, {op: solarize, p: 0.5, threshold: 0.5019607843137255},"
        "{op: planckian}, {op: invert, p: 0.5}, {op: color_jitter, contrast: 0.5, hue: 0.5}"
    )
    x, output = images(photos, 2, 80), replace(pipeline.output, dtype=torch.float16)
    output = replace(output, memory_format=torch.channels_last)
    batch = pipeline(x, ids=torch.arange(2), epoch=0)
    joined = "chain: contrast solarize planckian invert color_jitter"
    assert kinds(pipeline) == [joined]
    found = render(pipeline, x, batch.params, output)["first"]
    assert found.dtype == torch.float16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found.float(), batch.views["first"], 2e-3)


@FORMS
def test_blurs_stand_between_chains(photos: list[Path], render: Render, geometry: bool) -> None:
    """Groups are opened, and a flip goes to the front, so that colours come last."""
    pipeline = pipeline_of(
        "{op: maybe, p: 0.5, ops: [{op: brightness, factor: 0.5}, {op: saturation}]},"
        "{op: gaussian_blur, kernel: 5}, {op: grayscale, p: 0.5}, {op: horizontal_flip, p: 0.5}"
    )
    x = images(photos, 6, 32)
    assert kinds(pipeline, geometry) == [
        "resample: horizontal_flip" if geometry else "step: horizontal_flip",
        "chain: maybe.brightness maybe.saturation",
        "step: gaussian_blur",
        "chain: grayscale",
    ]
    batch = pipeline(x, ids=torch.arange(6), epoch=0)
    found = render(pipeline, x, batch.params, geometry=geometry)["first"]
    assert_close(found, batch.views["first"], 5e-5)


@FORMS
@pytest.mark.parametrize("ops", ["", "{op: gaussian_blur, p: 0.5, kernel: 3}"])
def test_what_ends_without_colours_is_normalised(
    photos: list[Path], render: Render, ops: str, geometry: bool
) -> None:
    pipeline, x = pipeline_of(ops), images(photos, 3, 32)
    assert kinds(pipeline)[-1] == "chain: "
    for own in (x, x / 255.0):
        batch = pipeline(own, ids=torch.arange(3), epoch=0)
        found = render(pipeline, own, batch.params, geometry=geometry)["first"]
        assert_close(found, batch.views["first"])


def test_a_contrast_that_is_given_and_not_drawn(photos: list[Path], render: Render) -> None:
    pipeline, x = pipeline_of("{op: color_jitter, brightness: 0.4}"), images(photos, 2, 80)
    params = pipeline(x, ids=torch.arange(2), epoch=0).params
    changed = {"first": {**params["first"], "color_jitter.contrast": torch.tensor([0.5, 1.4])}}
    expected = pipeline.apply(x, changed)["first"]
    assert (expected - pipeline.apply(x, params)["first"]).abs().max() > 0.1
    assert_close(render(pipeline, x, changed)["first"], expected, 5e-5)


def test_no_images_give_no_views(root: Path, render: Render) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "byol-cifar10.yaml")
    pipeline, x = augspec.compile(spec, backend="eager"), torch.zeros(0, 3, 32, 32)
    batch = pipeline(x, ids=torch.arange(0), epoch=0)
    found = render(pipeline, x, batch.params)
    assert {name: view.shape for name, view in found.items()} == dict.fromkeys(found, x.shape)


def test_a_missing_parameter_is_named() -> None:
    pipeline = pipeline_of("{op: grayscale, p: 0.5}")
    with pytest.raises(KeyError, match=r"parameter 'grayscale\.\w+' is missing"):
        renderer = TritonRenderer(pipeline.plan)
        renderer.render(torch.zeros(1, 3, 8, 8), {"first": {}}, pipeline.output)


def test_what_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    x, none = torch.zeros(2, 3, 8, 8), {"first": {"invert.on": torch.ones(2)}}
    assert interpreted(refuses, x, none) is None
    assert refuses(x, none) == "renders on CUDA GPUs, and the images are on cpu"
    double = interpreted(refuses, x.double(), none)
    assert double == "takes images of uint8, float32, float16, bfloat16, not float64"
    elsewhere = {"first": {"invert.on": torch.ones(2, device="meta")}}
    assert interpreted(refuses, x, elsewhere) == (
        "needs parameters where the images are, on cpu, not meta"
    )
    ragged = Ragged.stack([x[0], x[1, :, :4]])
    assert refuses(ragged, none) == "takes images of one size"
    for images_, params in (
        (x.clone().requires_grad_(), none),
        (x, {"first": {"invert.on": torch.ones(2, requires_grad=True)}}),
    ):
        why = "gives no gradients, and images or parameters require them"
        assert interpreted(refuses, images_, params) == why
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert refuses(x, none) == "needs the package triton, which is not installed"


def test_what_it_lacks_to_compile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A GPU that is too old, or no C compiler: `auto` is to go on without it."""
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    monkeypatch.setenv("CC", "cc")
    assert lacking.__wrapped__(device) == (
        "needs a GPU of compute capability 7.0 or more, and cuda:0 has 6.1"
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    assert lacking.__wrapped__(device) is None
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lacking.__wrapped__(device) == "needs a C compiler: set CC, or install gcc or clang"
    compiler = tmp_path / "gcc"
    compiler.touch(mode=0o755)
    assert lacking.__wrapped__(device) is None


def test_it_is_a_backend(photos: list[Path]) -> None:
    spec, x = augspec.loads(SPEC.format(ops="{op: resized_crop, size: 9}")), images(photos, 2, 16)
    pipeline = augspec.compile(spec, seed=5, backend="triton")
    params = pipeline.decode(pipeline.draw(torch.arange(2), 0, (16, 16)))
    with pytest.raises(
        ValueError,
        match="backend 'triton' renders on CUDA GPUs, and the images are on cpu: take 'auto', ",
    ):
        pipeline.apply(x, params)
    found = interpreted(pipeline.apply, x, params)["first"]
    assert_close(found, augspec.compile(spec, backend="eager").apply(x, params)["first"])
    with pytest.raises(ValueError, match="backend 'triton' takes images of one size: take 'auto'"):
        pipeline.apply([x[0], x[1, :, :9]], params)


RECIPES = sorted(Path("specs/augmentations").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_host_reads_no_number_to_tell_the_kernels_what_to_do(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """On tensors without numbers, among which there may be none of the host's."""
    from augspec.kernels import triton_blur, triton_chain, triton_resample

    def resampled(x: Tensor, rows: Taps, columns: Taps, source: Tensor) -> Tensor:
        parts = [*astuple(rows), *astuple(columns), source]
        assert all(part.is_meta and len(part) == len(source) for part in parts)
        size = (rows.starts.shape[1], columns.starts.shape[1])
        return torch.empty(len(source), x.shape[1], *size, device="meta")

    def coloured(x: Tensor, codes: Tensor, arguments: Tensor, **options: Any) -> Tensor:
        assert codes.is_meta and arguments.is_meta and len(codes) == len(x)
        return torch.empty(x.shape, dtype=options["dtype"], device="meta")

    def blurred(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
        assert sigma.is_meta and len(sigma) == len(x)
        return torch.empty(x.shape, device="meta")

    def by_itself(stage: Stage, x: Tensor, params: Sequence[Any]) -> Tensor:
        size = stage.op.output_size((x.shape[-2], x.shape[-1]))
        return torch.empty(*x.shape[:2], *size, device="meta")

    monkeypatch.setattr(triton, "run_stage", by_itself)
    monkeypatch.setattr(triton_resample, "resample", resampled)
    monkeypatch.setattr(triton_chain, "run_chain", coloured)
    monkeypatch.setattr(triton_blur, "blur", blurred)
    spec = augspec.load(path)
    pipeline = augspec.compile(spec, backend="eager")
    x = torch.zeros(2, spec.image.channels, *(spec.input_size or (75, 83)), dtype=torch.uint8)
    batch = pipeline(x, ids=torch.arange(2), epoch=0)
    params = {
        view: {name: value.to("meta") for name, value in own.items()}
        for view, own in batch.params.items()
    }
    found = TritonRenderer(pipeline.plan).render(x.to("meta"), params, pipeline.output)
    assert {name: view.shape for name, view in found.items()} == {
        name: view.shape for name, view in batch.views.items()
    }


@FORMS
@pytest.mark.gpu
def test_the_host_does_not_wait_for_the_gpu(root: Path, photos: list[Path], geometry: bool) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "byol-imagenet.yaml")
    pipeline = augspec.compile(spec, seed=1, backend="eager").cuda()
    x = images(photos, 8, 224).cuda()
    batch = pipeline(x, ids=torch.arange(8, device="cuda"), epoch=2)
    renderer = TritonRenderer(pipeline.plan, geometry=geometry)
    assert refuses(x, batch.params) is None
    for attempt in range(2):  # the first compiles, and makes what is kept
        torch.cuda.set_sync_debug_mode("error" if attempt else "default")
        try:
            found = renderer.render(x, batch.params, pipeline.output)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for name, view in batch.views.items():
        assert_close(found[name], view, 1e-4)


@pytest.mark.gpu
def test_auto_takes_the_kernels_for_colours_where_no_gradient_is_asked_for(
    root: Path, photos: list[Path]
) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml")
    x, ids = images(photos, 8, 32).cuda(), torch.arange(8, device="cuda")
    plain, auto, everything = (
        augspec.compile(spec, seed=1, backend=backend).cuda()
        for backend in ("eager", "auto", "triton")
    )
    expected = plain(x, ids=ids, epoch=2)
    colours = TritonRenderer(plain.plan, geometry=False).render(x, expected.params, plain.output)
    for name, view in expected.views.items():
        assert torch.equal(auto(x, ids=ids, epoch=2).views[name], colours[name])
        assert_close(everything(x, ids=ids, epoch=2).views[name], view, 1e-4)
    unit = (x / 255).requires_grad_()
    auto(unit, ids=ids, epoch=2).views["first"].sum().backward()
    assert unit.grad is not None and unit.grad.abs().sum() > 0
