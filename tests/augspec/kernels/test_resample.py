"""Crop and resize: torchvision's pixels for integer boxes, and what holds for fractional ones."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode

from augspec.kernels.resample import axis_weights, center_crop, crop_resize, resize

DOUBLE = torch.float64
FILTERS = ["nearest", "bilinear", "bicubic"]
SMOOTH = FILTERS[1:]
SIZES = [((32, 32), (32, 32)), ((40, 28), (17, 64)), ((64, 64), (160, 200)), ((333, 500), (96, 32))]


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def draw_boxes(batch: int, height: int, width: int) -> torch.Tensor:
    """Whole-pixel boxes `(4, batch)`: top, bottom, left, right; the first is the whole image."""
    u = noise(4, batch, seed=1, dtype=DOUBLE)
    top, left = (u[0] * height).floor(), (u[2] * width).floor()
    bottom, right = top + (u[1] * (height - top)).ceil(), left + (u[3] * (width - left)).ceil()
    boxes = torch.stack((top, bottom, left, right))
    boxes[:, 0] = torch.tensor([0.0, height, 0.0, width])
    return boxes


def reference(x, boxes, size, interpolation, antialias) -> torch.Tensor:
    mode = InterpolationMode(interpolation)
    out = []
    for image, (top, bottom, left, right) in zip(x, boxes.T.int().tolist(), strict=True):
        where = (top, left, bottom - top, right - left)
        out.append(TF.resized_crop(image, *where, list(size), mode, antialias))
    return torch.stack(out)


def assert_close(mine: torch.Tensor, theirs: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_integer_boxes_match_torchvision(source, target, interpolation, antialias) -> None:
    x, boxes = noise(6, 3, *source), draw_boxes(6, *source)
    mine = crop_resize(x, *boxes, target, interpolation=interpolation, antialias=antialias)
    assert_close(mine, reference(x, boxes, target, interpolation, antialias))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_photographs_match_torchvision(photos: list[Path], interpolation, antialias) -> None:
    for path in photos[:4]:
        image = decode_image(str(path), ImageReadMode.RGB) / 255.0
        boxes = draw_boxes(3, *image.shape[-2:])
        x = image.expand(3, -1, -1, -1)
        # Float64 shows that our own arithmetic is exact; in float32 torchvision rounds coordinates.
        for dtype, atol in ((torch.float32, 2e-5), (DOUBLE, 1e-10)):
            if dtype == DOUBLE and interpolation == "nearest":
                continue  # float64 `nearest` is no use in float32: it breaks ties differently
            mine = crop_resize(
                x.to(dtype), *boxes, (64, 64), interpolation=interpolation, antialias=antialias
            )
            expected = reference(x.to(dtype), boxes, (64, 64), interpolation, antialias)
            assert_close(mine, expected, atol)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_edges_rounded_by_float32_codes_change_nothing(interpolation, antialias) -> None:
    x, boxes = noise(6, 3, 333, 500), draw_boxes(6, 333, 500)
    off = (2.0 * noise(4, 6, seed=2, dtype=DOUBLE) - 1.0) * 1e-6
    rounded = boxes + off * torch.tensor([[333.0], [333.0], [500.0], [500.0]])
    options = {"interpolation": interpolation, "antialias": antialias}
    exact = crop_resize(x, *boxes, (96, 32), **options)
    assert_close(crop_resize(x, *rounded, (96, 32), **options), exact, 1e-6)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_whole_image_at_its_own_size_is_the_identity(interpolation, antialias) -> None:
    x = noise(2, 3, 19, 30)
    zero, height, width = (torch.full((2,), v, dtype=DOUBLE) for v in (0.0, 19.0, 30.0))
    weights = axis_weights(zero, width, 30, 30, interpolation, antialias)
    assert torch.equal(weights, torch.eye(30, dtype=DOUBLE).expand(2, 30, 30))
    options = {"interpolation": interpolation, "antialias": antialias}
    assert torch.equal(crop_resize(x, zero, height, zero, width, (19, 30), **options), x)


def test_nearest_picks_torchs_pixel_for_every_pair_of_sizes() -> None:
    for in_size in range(1, 65):
        row = torch.arange(in_size, dtype=torch.float32)
        zero, high = torch.zeros(1, dtype=DOUBLE), torch.full((1,), in_size, dtype=DOUBLE)
        for out_size in (1, 3, 7, 17, 32, 49, 64, 100):
            weights = axis_weights(zero, high, in_size, out_size, "nearest", False)[0].float()
            assert torch.equal(weights @ row, F.interpolate(row[None, None], out_size)[0, 0])


@given(
    edges=st.tuples(st.floats(0.0, 12.0), st.floats(0.0, 12.0)),
    out_size=st.integers(1, 30),
    interpolation=st.sampled_from(FILTERS),
    antialias=st.booleans(),
)
def test_weights_of_any_box_sum_to_one_and_stay_in_it(edges, out_size, interpolation, antialias):
    low, high = (torch.tensor([edge], dtype=DOUBLE) for edge in sorted(edges))
    if low >= 12.0:
        low = low - 1e-3
    weights = axis_weights(low, high, 12, out_size, interpolation, antialias)[0]
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(out_size, dtype=DOUBLE))
    pixel = torch.arange(12)
    outside = (pixel + 1 <= low.floor()) | (pixel >= torch.maximum(high.ceil(), low.floor() + 1))
    assert (weights[:, outside] == 0.0).all()


@pytest.mark.parametrize("interpolation", SMOOTH)
def test_antialiased_boxes_move_continuously_across_whole_pixels(interpolation: str) -> None:
    """A box between two whole ones lies between their results, without a jump at either end."""
    x = noise(1, 3, 1, 24, dtype=DOUBLE)
    steps = torch.linspace(4.0, 6.0, 401, dtype=DOUBLE)
    zero, one, right = (torch.full_like(steps, value) for value in (0.0, 1.0, 20.0))
    rows = crop_resize(
        x.expand(401, -1, -1, -1), zero, one, steps, right, (1, 8), interpolation=interpolation
    )
    assert (rows[1:] - rows[:-1]).abs().max() < 0.01
    assert (rows[0] - rows[-1]).abs().max() > 0.1


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", SMOOTH)
@pytest.mark.parametrize("size", [(3, 4), (8, 7)])
def test_gradients_are_the_derivatives(interpolation, antialias, size) -> None:
    x = noise(2, 1, 6, 7, dtype=DOUBLE).requires_grad_()
    edges = [[0.37, 2.61], [4.83, 5.13], [1.27, 0.58], [6.31, 4.19]]
    boxes = [torch.tensor(edge, dtype=DOUBLE, requires_grad=True) for edge in edges]
    options = {"interpolation": interpolation, "antialias": antialias}
    assert torch.autograd.gradcheck(lambda *a: crop_resize(*a, size, **options), (x, *boxes))


def test_whole_edges_have_gradients_too() -> None:
    boxes = draw_boxes(4, 20, 24).requires_grad_()
    crop_resize(noise(4, 3, 20, 24), *boxes, (8, 8)).square().sum().backward()
    assert boxes.grad.isfinite().all()
    assert (boxes.grad != 0.0).any(dim=1).all()


@pytest.mark.parametrize("size", [(8, 8), (7, 4), (12, 5), (30, 31), (11, 14)])
def test_center_crop_is_torchvisions(size: tuple[int, int]) -> None:
    x = noise(2, 3, 11, 14)
    assert torch.equal(center_crop(x, size), TF.center_crop(x, list(size)))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(8, 20), (11, 14)])
def test_resize_is_torchvisions(size, interpolation, antialias) -> None:
    x, mode = noise(2, 3, 11, 14), InterpolationMode(interpolation)
    expected = TF.resize(x, list(size), mode, antialias=antialias)
    assert torch.equal(resize(x, size, interpolation, antialias), expected)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", ["nearest", "bicubic"])
def test_compiled_kernels_give_the_same_pixels_and_gradients(interpolation, antialias) -> None:
    boxes = draw_boxes(3, 20, 24)

    def view(x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        x = crop_resize(x, *boxes, (12, 9), interpolation=interpolation, antialias=antialias)
        x = resize(x, (16, 16), interpolation, antialias)
        return center_crop(x, (14, 18))

    results = []
    for run in (view, torch.compile(view, fullgraph=True, backend="aot_eager")):
        x, edges = noise(3, 3, 20, 24).requires_grad_(), boxes.clone().requires_grad_()
        out = run(x, edges)
        out.square().sum().backward()
        results.append((out, x.grad, *([] if edges.grad is None else [edges.grad])))
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-4)


def test_autocast_does_not_lower_the_precision() -> None:
    x, boxes = noise(4, 3, 20, 24), draw_boxes(4, 20, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = crop_resize(x, *boxes, (8, 8))
    assert torch.equal(inside, crop_resize(x, *boxes, (8, 8)))


@pytest.mark.gpu
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_a_gpu_gives_the_same_pixels_without_waiting_for_it(interpolation, antialias) -> None:
    x, boxes = noise(6, 3, 64, 80), draw_boxes(6, 64, 80)
    options = {"interpolation": interpolation, "antialias": antialias}
    there = [tensor.cuda() for tensor in (x, *boxes)]
    crop_resize(*there, (32, 32), **options)
    torch.cuda.set_sync_debug_mode("error")
    try:
        cropped = crop_resize(*there, (32, 32), **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_close(cropped.cpu(), crop_resize(x, *boxes, (32, 32), **options))
