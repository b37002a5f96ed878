"""Views of images of different sizes: as of each image alone, and as torchvision crops them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

import augspec
from augspec import Pipeline
from augspec.compiler.draws import draw_codes
from augspec.compiler.plan import Plan, make_plan
from augspec.compiler.ragged import render_ragged, steps_alone
from augspec.kernels.ragged import Ragged

RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))
SMALL = ((60, 83), (97, 45), (60, 83))
BATCH_ROUNDING = 1e-6
"""How far a sample's pixels may differ between batches of other sizes."""


def noise(sizes: tuple[tuple[int, int], ...] = SMALL) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes
    ]


def drawn(plan: Plan, images: list[Tensor], seed: int = 3) -> tuple[Pipeline, dict, Ragged]:
    """A pipeline without normalisation, the parameters that it draws, and the batch."""
    plan, batch = replace(plan, normalize=None), Ragged.stack(images)
    pipeline = Pipeline(plan, seed=seed, backend="eager")
    drawn = draw_codes(pipeline.plan, seed, torch.arange(len(images)), 0, batch.sizes)
    return pipeline, pipeline.decode(*drawn), batch


def alone(pipeline: Pipeline, view: str, images: list[Tensor], params: dict) -> Tensor:
    """The view of each image in a batch of itself."""
    views = []
    for row, image in enumerate(images):
        own = {key: value[row : row + 1] for key, value in params.items()}
        views.append(pipeline.apply(image[None], {view: own})[view])
    return torch.cat(views)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_render_as_alone(recipe: Path) -> None:
    images = noise()
    pipeline, params, batch = drawn(make_plan(augspec.load(recipe)), images)
    rendered = 0
    seen: list[object] = []
    for view in pipeline.plan.views:
        if not view.steps:
            with pytest.raises(ValueError, match=f"view '{view.name}' leaves the images in diff"):
                render_ragged(view, batch, params[view.name])
            continue
        if [step.op for step in view.steps] in seen:  # one of several that are made alike
            continue
        seen.append([step.op for step in view.steps])
        found = render_ragged(view, batch, params[view.name])
        expected = alone(pipeline, view.name, images, params[view.name])
        torch.testing.assert_close(found, expected, rtol=0, atol=BATCH_ROUNDING)
        rendered += 1
    assert rendered


LATE = """
version: 1
name: late
views:
  v:
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: gaussian_blur, p: 0.7, kernel: 3}
      - {op: resize, size: 20}
      - {op: erase, p: 0.7}
      - {op: random_crop, size: 18, padding: 2}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
"""


def test_ops_before_and_after_all_have_one_size() -> None:
    images = [x.float() / 255 for x in noise(((60, 83), (97, 45), (31, 40), (40, 31), (60, 83)))]
    pipeline, params, batch = drawn(make_plan(augspec.loads(LATE)), images)
    (view,) = pipeline.plan.views
    assert steps_alone(view, batch.sizes) == 5
    assert steps_alone(view, batch.sizes[:1]) == 0
    assert steps_alone(view, torch.tensor([[20, 30], [40, 60]])) == 3  # the resize ends it
    found = render_ragged(view, batch, params["v"])
    expected = alone(pipeline, "v", images, params["v"])
    assert found.shape == (5, 3, 18, 18)
    torch.testing.assert_close(found, expected, rtol=0, atol=BATCH_ROUNDING)
    doubled = Ragged(batch.pixels.double(), batch.sizes)
    assert render_ragged(view, doubled, params["v"]).dtype == torch.float64


def test_images_of_one_size_are_one_batch() -> None:
    images = noise(((40, 31),) * 4)
    pipeline, params, batch = drawn(make_plan(augspec.loads(LATE)), images)
    (view,) = pipeline.plan.views
    whole = pipeline.apply(torch.stack(images), params)["v"]
    assert torch.equal(render_ragged(view, batch, params["v"]), whole)


def test_gradients_reach_the_pixels_of_every_image_and_the_parameters() -> None:
    text = LATE.replace("      - {op: random_crop, size: 18, padding: 2}", "").replace(
        "resize, size: 20", "resized_crop, size: 16, area: [0.3, 0.9]"
    )
    images = [x.double() / 255 for x in noise(((20, 24), (31, 17), (22, 22)))]
    pipeline, params, batch = drawn(make_plan(augspec.loads(text)), images)
    pixels = batch.pixels.requires_grad_()
    own = {key: value.requires_grad_() for key, value in params["v"].items()}
    (view,) = pipeline.plan.views
    weights = torch.linspace(-1, 1, 3 * 3 * 16 * 16, dtype=torch.float64).reshape(3, 3, 16, 16)
    (render_ragged(view, batch, own) * weights).sum().backward()
    for row, image in enumerate(images):
        x = image.clone().requires_grad_()
        single = {k: v.detach()[row : row + 1].requires_grad_() for k, v in own.items()}
        (pipeline.apply(x[None], {"v": single})["v"] * weights[row]).sum().backward()
        start = int(batch.offsets[row])
        part = pixels.grad[start : start + image.numel()].reshape(image.shape)
        torch.testing.assert_close(part, x.grad, rtol=0, atol=1e-9)
        assert (part != 0).any()
        side = own["resized_crop.height"].grad[row]
        assert side != 0
        torch.testing.assert_close(side, single["resized_crop.height"].grad[0], rtol=1e-6, atol=0)


@pytest.fixture
def jpegs(tmp_path: Path) -> list[Path]:
    """Rendered scenes of varied sizes, as JPEG files."""
    paths = []
    for index, (height, width) in enumerate(((150, 233), (311, 170), (97, 300), (256, 256))):
        y = torch.linspace(0, 3 + index, height)[:, None]
        x = torch.linspace(0, 5 - index, width)[None]
        waves = [(x * k + y).sin() + (3 * y * k - x).cos() for k in (1.0, 2.3, math.pi)]
        scene = (torch.stack(waves, dim=-1) * 60 + 127).clamp(0, 255).byte()
        paths.append(tmp_path / f"{index}.jpg")
        Image.fromarray(scene.numpy()).save(paths[-1], quality=92)
    return paths


CROPS = """
version: 1
name: crops
views:
  sharp:
    ops:
      - {op: resized_crop, size: 64, area: [0.08, 1.0], aspect: {log_uniform: [0.75, 1.3333]},
         interpolation: bicubic}
  plain:
    ops: [{op: resized_crop, size: [48, 80], area: [0.5, 1.0], aspect: [0.2, 5.0]}]
    size: [48, 80]
"""
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def assert_torchvision_crops(paths: list[Path]) -> None:
    """The box of each photograph, cut from its own pixels by torchvision."""
    images = [decode_image(str(path), ImageReadMode.RGB) for path in paths]
    pipeline, params, batch = drawn(make_plan(augspec.loads(CROPS)), images)
    assert batch.interleaved and len(batch.sizes.unique(dim=0)) > 2
    for view in pipeline.plan.views:
        found, own = render_ragged(view, batch, params[view.name]), params[view.name]
        op = view.steps[0].op
        for row, image in enumerate(images):
            height, width = image.shape[-2:]
            box = {k.split(".")[1]: v[row].item() for k, v in own.items()}
            h, w = round(box["height"] * height), round(box["width"] * width)
            # boxes lie on the pixels of their own photograph
            assert abs(h - box["height"] * height) < 1e-3 > abs(w - box["width"] * width)
            top = round(box["center_y"] * height - h / 2)
            left = round(box["center_x"] * width - w / 2)
            size = list(op.fixed_output_size())
            mode = MODES[op.interpolation]
            x = image.float() / 255
            theirs = F.resized_crop(x, top, left, h, w, size, mode, antialias=True)
            torch.testing.assert_close(found[row], theirs, rtol=0, atol=2e-5)


def test_boxes_are_cut_from_original_pixels_as_torchvision_does(jpegs: list[Path]) -> None:
    assert_torchvision_crops(jpegs)


def test_photographs_are_cut_from_original_pixels(photos: list[Path]) -> None:
    assert_torchvision_crops(photos[:24:3])


def test_what_is_wrong_is_named() -> None:
    images = noise(((20, 24), (31, 17)))
    pipeline, params, batch = drawn(make_plan(augspec.loads(LATE)), images)
    (view,) = pipeline.plan.views
    with pytest.raises(KeyError, match=r"parameter 'horizontal_flip\.flip' is missing"):
        render_ragged(view, batch, {})
    with pytest.raises(ValueError, match=r"'horizontal_flip.flip' must be \(2,\).*got \(1,\)"):
        render_ragged(view, batch, {k: v[:1] for k, v in params["v"].items()})
    with pytest.raises(ValueError, match=r"uint8 or floating point, got torch\.int64"):
        render_ragged(view, Ragged(batch.pixels.long(), batch.sizes), params["v"])
    text = "{version: 1, name: t, views: {kept: {ops: [{op: resize, size: 10}]}}}"
    (kept,) = make_plan(augspec.loads(text)).views
    message = r"view 'kept' leaves .* 10x12 and 18x10; .*`resized_crop`, .* two numbers"
    with pytest.raises(ValueError, match=message):
        render_ragged(kept, batch, {})
