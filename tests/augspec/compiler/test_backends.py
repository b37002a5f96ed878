"""The backends against the reference, and what the fused kernels promise beyond it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from random_specs import Case, cases
from torch import Tensor

import augspec
from augspec import Pipeline, ViewBatch

RECIPES = sorted(Path("specs/augmentations").glob("*.yaml"))
STEPS_IN_INTENSITY = ("posterize", "equalize", "solarize", "jpeg")
"""Ops that turn the rounding of a pixel into another intensity."""

B = 8


def smooth(size: tuple[int, int], batch: int = B, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Pictures `(B, 3, *size)` as smooth as photographs."""
    small = torch.rand(batch, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    x = torch.nn.functional.interpolate(small, size, mode="bicubic").clamp(0, 1)
    return (x * 255).round().to(dtype) if dtype == torch.uint8 else x.to(dtype)


def rendered(pipeline: Pipeline, images: Any, start: int = 0) -> ViewBatch:
    return pipeline(images, ids=torch.arange(start, start + len(images)), epoch=1)


def document(*ops: dict[str, Any], **more: Any) -> augspec.Spec:
    views = {"v": {"ops": list(ops)}}
    return augspec.loads(json.dumps({"version": 1, "name": "test", "views": views, **more}))


def assert_equal_but_for_rounding(spec: augspec.Spec, found: ViewBatch, plain: ViewBatch) -> None:
    for name, view in plain.views.items():
        assert (found.codes[name] == plain.codes[name]).all()
        assert found.views[name].shape == view.shape and found.views[name].dtype == view.dtype
        apart = (found.views[name] - view).abs()
        if any(tag in str(spec.views) for tag in STEPS_IN_INTENSITY):
            assert (apart > 1e-4).float().mean() < 2e-3
        else:
            assert apart.max() < 2e-5 / 0.2, name  # of normalised pixels


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_rendered_as_by_the_reference(path: Path) -> None:
    spec = augspec.load(path)
    images = smooth(spec.input_size or (75, 83))
    plain = rendered(augspec.compile(spec, backend="eager"), images)
    found = rendered(augspec.compile(spec, backend="numba"), images)
    assert_equal_but_for_rounding(spec, found, plain)


@given(cases())
@settings(max_examples=120)
def test_any_spec_is_rendered_as_by_the_reference(case: Case) -> None:
    images = smooth(case.size, dtype=torch.float32)[:, : case.spec.image.channels]
    plain = rendered(augspec.compile(case.spec, backend="eager"), images)
    found = rendered(augspec.compile(case.spec, backend="numba"), images)
    for name, view in plain.views.items():
        apart = (found.views[name] - view).abs()
        # a rounded pixel may fall on the other side of a threshold, of a median or of a tie
        assert (apart > 1e-4).float().mean() < 0.02, name


@pytest.mark.parametrize("name", ["simclr-cifar10", "byol-imagenet", "trivialaugment-wide"])
def test_a_sample_does_not_depend_on_its_batch_or_on_threads(name: str) -> None:
    pipeline = augspec.load_pipeline(f"specs/augmentations/{name}.yaml", backend="numba")
    images = smooth((41, 37), 2 * B)
    whole = rendered(pipeline, images)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        parts = [rendered(pipeline, images[i : i + 3], i) for i in range(0, 2 * B, 3)]
    finally:
        torch.set_num_threads(threads)
    if "trivial" in name:
        return  # its ops without a fused kernel depend on the batch in the last bit
    for view, pixels in whole.views.items():
        assert (torch.cat([part.views[view] for part in parts]) == pixels).all()


def test_codes_render_the_same_pixels_again() -> None:
    pipeline = augspec.load_pipeline("specs/augmentations/byol-cifar10.yaml", backend="numba")
    images = smooth((32, 32))
    batch = rendered(pipeline, images)
    again = pipeline.apply(images, pipeline.decode(batch.codes))
    assert all((again[name] == view).all() for name, view in batch.views.items())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("normalized", [False, True])
def test_views_come_in_the_dtype_and_layout_that_are_asked_for(
    dtype: torch.dtype, memory_format: torch.memory_format, normalized: bool
) -> None:
    more = {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}} if normalized else {}
    crop, jitter = {"op": "resized_crop", "size": [12, 20]}, {"op": "color_jitter", "hue": 0.3}
    spec = document(crop, jitter, **more)
    images = smooth((30, 33))
    exact = rendered(augspec.compile(spec, backend="eager"), images).views["v"]
    for backend in ("eager", "numba"):
        pipeline = augspec.compile(spec, backend=backend, dtype=dtype, memory_format=memory_format)
        view = rendered(pipeline, images).views["v"]
        assert view.dtype == dtype and view.is_contiguous(memory_format=memory_format)
        error = (view.float() - exact).abs().max()
        assert error < {torch.float32: 2e-5, torch.bfloat16: 0.02, torch.float16: 2e-3}[dtype]


def test_bfloat16_is_rounded_as_torch_rounds() -> None:
    images = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, :4] = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 2**-130, 0.0])  # ties, subnormal
    pipeline = augspec.compile(document(), backend="numba", dtype=torch.bfloat16)
    assert (rendered(pipeline, images).views["v"] == images.bfloat16()).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16])
def test_images_may_lie_in_memory_as_they_like(dtype: torch.dtype) -> None:
    spec = document({"op": "resized_crop", "size": 16}, {"op": "gaussian_blur"})
    images = smooth((20, 24)).to(dtype)
    images = images if dtype == torch.uint8 else images / 255
    pipeline = augspec.compile(spec, backend="numba")
    plain = rendered(pipeline, images).views["v"]
    wide = torch.zeros(B, 3, 40, 24, dtype=dtype)
    wide[:, :, ::2] = images
    for same in (images.to(memory_format=torch.channels_last), wide[:, :, ::2]):
        assert (rendered(pipeline, same).views["v"] == plain).all()


def test_one_channel_is_rendered_as_by_the_reference() -> None:
    ops = [{"op": "resized_crop", "size": 16}, {"op": "contrast"}, {"op": "gaussian_blur"}]
    spec = document(*ops, image={"channels": 1}, normalize={"mean": [0.5], "std": [0.25]})
    images = smooth((20, 24))[:, :1]
    plain = rendered(augspec.compile(spec, backend="eager"), images).views["v"]
    found = rendered(augspec.compile(spec, backend="numba"), images).views["v"]
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


def test_gradients_are_given_by_the_reference() -> None:
    spec = augspec.load("specs/augmentations/simclr-cifar10.yaml")
    images = smooth((32, 32), dtype=torch.float32).requires_grad_()
    rendered(augspec.compile(spec), images).views["first"].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0
    with pytest.raises(ValueError, match="backend 'numba' gives no gradients"):
        rendered(augspec.compile(spec, backend="numba"), images)
    with torch.no_grad():
        rendered(augspec.compile(spec, backend="numba"), images)


def test_float64_is_rendered_by_the_reference() -> None:
    images = smooth((32, 32), dtype=torch.float64)
    spec = document({"op": "resized_crop", "size": 16})
    assert rendered(augspec.compile(spec), images).views["v"].dtype == torch.float64
    with pytest.raises(ValueError, match="up to 32 bits"):
        rendered(augspec.compile(spec, backend="numba"), images)


def test_a_kernel_too_large_for_the_image_is_refused_by_every_backend() -> None:
    spec = document({"op": "gaussian_blur", "kernel": 23})
    for backend in ("eager", "numba"):
        with pytest.raises(ValueError, match="too large for reflect padding"):
            rendered(augspec.compile(spec, backend=backend), smooth((11, 40)))


def test_an_unknown_backend_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"unknown backend 'numbra'; did you mean 'numba'\?"):
        augspec.compile(document(), backend="numbra")  # type: ignore[arg-type]


def test_an_empty_batch_gives_empty_views() -> None:
    pipeline = augspec.load_pipeline("specs/augmentations/simclr-cifar10.yaml", backend="numba")
    views = rendered(pipeline, torch.zeros(0, 3, 32, 32, dtype=torch.uint8)).views
    assert {tuple(view.shape) for view in views.values()} == {(0, 3, 32, 32)}


def test_compiled_runs_agree_and_are_compiled_once_for_all_batch_sizes() -> None:
    torch.compiler.reset()
    spec = augspec.load("specs/augmentations/simclr-cifar10.yaml")
    compiled = augspec.compile(spec, backend="compiled")
    plain = augspec.compile(spec, backend="eager")
    counters = torch._dynamo.utils.counters
    for batch in (B, B + 3, 5):
        images = smooth((32, 32), batch)
        assert_equal_but_for_rounding(spec, rendered(compiled, images), rendered(plain, images))
        if batch == B:
            graphs = counters["stats"]["unique_graphs"]
    assert counters["stats"]["unique_graphs"] == graphs > 0
    images = smooth((32, 32), dtype=torch.float32).requires_grad_()
    rendered(compiled, images).views["first"].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


def test_merged_geometry_is_the_same_on_every_backend() -> None:
    ops = [{"op": "resized_crop", "size": 24}, {"op": "rotate"}, {"op": "affine"}]
    spec = document(*ops, {"op": "color_jitter", "brightness": 0.4}, {"op": "horizontal_flip"})
    images = smooth((32, 32))
    plain, *others = (
        rendered(augspec.compile(spec, backend=backend, merge=True), images).views["v"]
        for backend in ("eager", "numba", "compiled")
    )
    for other in others:
        torch.testing.assert_close(other, plain, atol=2e-5, rtol=0)
    apart = rendered(augspec.compile(spec, backend="eager"), images).views["v"] - plain
    assert apart.abs().max() > 1e-3
    assert augspec.make_plan(spec, merge=True).hash != augspec.make_plan(spec).hash
    with pytest.raises(ValueError, match="merges geometric ops takes images of one size"):
        rendered(augspec.compile(spec, merge=True), [images[0], images[1, :, :30]])


def test_images_of_different_sizes_are_each_rendered_as_alone() -> None:
    sizes = [(40, 55), (64, 33), (36, 36), (90, 70)]
    images = [smooth(size, 1)[0] for size in sizes]
    for name in ("simclr-imagenet", "three-augment-imagenet21k", "dino-imagenet"):
        spec = augspec.load(f"specs/augmentations/{name}.yaml")
        pipeline = augspec.compile(spec, backend="numba")
        batch = rendered(pipeline, images)
        plain = rendered(augspec.compile(spec, backend="eager"), images)
        assert_equal_but_for_rounding(spec, batch, plain)
        for i, image in enumerate(images):
            alone = rendered(pipeline, image[None], i)
            for view, pixels in alone.views.items():
                torch.testing.assert_close(batch.views[view][i], pixels[0], atol=5e-6, rtol=0)
                assert (batch.codes[view][i] == alone.codes[view][0]).all()


def test_a_flip_before_the_crop_takes_images_of_different_sizes() -> None:
    spec = document({"op": "horizontal_flip"}, {"op": "resized_crop", "size": 16})
    images = [smooth(size, 1)[0] for size in [(40, 55), (64, 33)]]
    plain = rendered(augspec.compile(spec, backend="eager"), images).views["v"]
    torch.testing.assert_close(rendered(augspec.compile(spec), images).views["v"], plain)
