"""Views with the Triton backend: the pixels of the reference, and what it refuses.

Views are rendered in Triton's interpreter, and on a GPU where there is one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from triton_interpreter import interpreted

import augspec
from augspec import Pipeline
from augspec.compiler.output import Output
from augspec.compiler.triton import TritonRenderer, refuses
from augspec.kernels.ragged import Ragged

pytest.importorskip("triton")

SPEC = """
version: 1
name: t
normalize: {{mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}}
views:
  first: {{ops: [{ops}]}}
"""
Render = Callable[[Pipeline, Tensor, dict[str, dict[str, Tensor]], Output], dict[str, Tensor]]


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def render(request: pytest.FixtureRequest) -> Render:
    """Renders all views in the interpreter, or on a GPU."""

    def run(
        pipeline: Pipeline, x: Tensor, params: dict[str, dict[str, Tensor]], output: Output
    ) -> dict[str, Tensor]:
        found = {}
        for name, own in params.items():
            view = pipeline.plan.view(name)
            if request.param == "interpreter":
                found[name] = interpreted(TritonRenderer().render, view, x, own, output)
            else:
                there = {key: value.cuda() for key, value in own.items()}
                found[name] = TritonRenderer().render(view, x.cuda(), there, output).cpu()
        return found

    return run


def images(photos: list[Path], batch: int, size: int) -> Tensor:
    """Patches of photographs, `(batch, 3, size, size)` uint8."""
    crops = [decode_image(str(path), ImageReadMode.RGB) for path in photos[:batch]]
    return torch.stack([TF.center_crop(crop, [size, size]) for crop in crops])


def pipeline_of(ops: str) -> Pipeline:
    return augspec.compile(augspec.loads(SPEC.format(ops=ops)), seed=5, backend="eager")


def kinds(pipeline: Pipeline, size: int = 32) -> list[str]:
    """What the view `first` is made in: a chain's ops joined."""
    stages = TritonRenderer().stages(pipeline.plan.view("first"), (size, size))
    return [f"{stage.kind}: {' '.join(step.id for step in stage.steps)}" for stage in stages]


def assert_close(mine: Tensor, theirs: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


def test_simclr_has_the_pixels_of_the_reference(
    root: Path, photos: list[Path], render: Render
) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml")
    pipeline, x = augspec.compile(spec, seed=1, backend="eager"), images(photos, 8, 32)
    batch = pipeline(x, ids=torch.arange(8), epoch=2)
    assert kinds(pipeline) == [
        "step: resized_crop",
        "step: horizontal_flip",
        "chain: color_jitter grayscale",
    ]
    found = render(pipeline, x, batch.params, pipeline.output)
    assert list(found) == list(batch.views)
    for name, view in batch.views.items():
        assert_close(found[name], view, 5e-5)  # normalised: about 5 times what pixels differ by


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


def test_other_ops_stand_between_chains(photos: list[Path], render: Render) -> None:
    """Groups are opened, and a flip goes to the front, so that colours come last."""
    pipeline = pipeline_of(
        "{op: maybe, p: 0.5, ops: [{op: brightness, factor: 0.5}, {op: saturation}]},"
        "{op: gaussian_blur, kernel: 5}, {op: grayscale, p: 0.5}, {op: horizontal_flip, p: 0.5}"
    )
    x = images(photos, 6, 32)
    assert kinds(pipeline) == [
        "step: horizontal_flip",
        "chain: maybe.brightness maybe.saturation",
        "step: gaussian_blur",
        "chain: grayscale",
    ]
    batch = pipeline(x, ids=torch.arange(6), epoch=0)
    found = render(pipeline, x, batch.params, pipeline.output)["first"]
    assert_close(found, batch.views["first"], 5e-5)


@pytest.mark.parametrize("ops", ["", "{op: gaussian_blur, kernel: 3}"])
def test_what_ends_without_colours_is_normalised(
    photos: list[Path], render: Render, ops: str
) -> None:
    pipeline, x = pipeline_of(ops), images(photos, 3, 32)
    assert kinds(pipeline)[-1] == "chain: "
    for given in (x, x / 255.0):
        batch = pipeline(given, ids=torch.arange(3), epoch=0)
        found = render(pipeline, given, batch.params, pipeline.output)["first"]
        assert_close(found, batch.views["first"])


def test_a_contrast_that_is_given_and_not_drawn(photos: list[Path], render: Render) -> None:
    pipeline, x = pipeline_of("{op: color_jitter, brightness: 0.4}"), images(photos, 2, 80)
    params = pipeline(x, ids=torch.arange(2), epoch=0).params
    changed = {"first": {**params["first"], "color_jitter.contrast": torch.tensor([0.5, 1.4])}}
    expected = pipeline.apply(x, changed)["first"]
    assert (expected - pipeline.apply(x, params)["first"]).abs().max() > 0.1
    assert_close(render(pipeline, x, changed, pipeline.output)["first"], expected, 5e-5)


def test_a_missing_parameter_is_named() -> None:
    pipeline = pipeline_of("{op: grayscale, p: 0.5}")
    with pytest.raises(KeyError, match=r"parameter 'grayscale\.\w+' is missing"):
        TritonRenderer().render(
            pipeline.plan.view("first"), torch.zeros(1, 3, 8, 8), {}, pipeline.output
        )


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


@pytest.mark.gpu
def test_the_host_does_not_wait_for_the_gpu(root: Path, photos: list[Path]) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "simclr-imagenet.yaml")
    pipeline = augspec.compile(spec, seed=1, backend="eager").cuda()
    x = images(photos, 8, 224).cuda()
    batch = pipeline(x, ids=torch.arange(8, device="cuda"), epoch=2)
    renderer = TritonRenderer()
    assert refuses(x, batch.params) is None
    for attempt in range(2):  # the first compiles, and makes what is kept
        torch.cuda.set_sync_debug_mode("error" if attempt else "default")
        try:
            found = {
                name: renderer.render(pipeline.plan.view(name), x, own, pipeline.output)
                for name, own in batch.params.items()
            }
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for name, view in batch.views.items():
        assert_close(found[name], view, 5e-5)
