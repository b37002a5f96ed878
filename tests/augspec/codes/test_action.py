"""Group elements on feature grids: exact where they permute cells, and honest where they do not."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec import Pipeline
from augspec.codes.action import act, invertible, not_invertible, overlap, permutes, scene
from augspec.compiler.geometry import view_matrix
from augspec.kernels.group import compose, identity
from augspec.kernels.warp import warp
from augspec.ops.affinity import affinity

DOUBLE = torch.float64
TURN = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=DOUBLE)
FLIP = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE))
SYMMETRIES = [
    torch.linalg.matrix_power(TURN, quarters) @ (FLIP if flipped else identity(FLIP))
    for quarters in range(4)
    for flipped in (False, True)
]
"""The symmetries of the square: flip first, then quarter turns, counter-clockwise."""

MODES = pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])


def by_hand(x: Tensor, index: int) -> Tensor:
    """What PyTorch's own functions make of the symmetry with this index."""
    quarters, flipped = divmod(index, 2)
    return (x.flip(-1) if flipped else x).rot90(quarters, (-2, -1))


def grid(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 5, height, width, generator=generator)


@MODES
@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 14, 31])
def test_symmetries_of_a_square_grid_are_permutations_to_the_last_bit(side, interpolation) -> None:
    x = grid(8, side, side)
    matrix = torch.stack(SYMMETRIES)
    moved, visible = act(x, matrix, interpolation=interpolation)
    for k in range(8):
        assert torch.equal(moved[k], by_hand(x[k], k))
    assert visible.shape == (8, 1, side, side)
    assert visible.all()
    assert permutes(matrix, (side, side)).all()


@MODES
@pytest.mark.parametrize("side", [5, 8])
def test_it_is_an_action_to_the_last_bit(side, interpolation) -> None:
    pairs = list(itertools.product(range(8), range(8)))
    first = torch.stack([SYMMETRIES[a] for a, _ in pairs])
    second = torch.stack([SYMMETRIES[b] for _, b in pairs])
    x = grid(1, side, side).expand(64, -1, -1, -1)
    once, _ = act(x, first, interpolation=interpolation)
    twice, _ = act(once, second, interpolation=interpolation)
    together, _ = act(x, compose(second, first), interpolation=interpolation)
    assert torch.equal(twice, together)
    assert not torch.equal(together, act(x, compose(first, second))[0])
    assert torch.equal(act(x, identity(FLIP), interpolation=interpolation)[0], x)


@pytest.mark.parametrize("angle", [0.25, 0.5, 0.75])
def test_matrices_with_the_rounding_of_a_cosine_are_as_exact(angle: float) -> None:
    matrix = affinity((7, 7), angle=torch.tensor([angle], dtype=DOUBLE))
    assert (matrix != matrix.round()).any()
    x = grid(1, 7, 7)
    assert torch.equal(act(x, matrix)[0], x.rot90(-round(angle * 4), (-2, -1)))


@pytest.mark.parametrize("size", [(4, 7), (6, 6), (1, 3)])
def test_flips_and_half_turns_are_exact_on_any_grid(size: tuple[int, int]) -> None:
    x = grid(3, *size)
    matrix = torch.stack([FLIP, -FLIP, TURN @ TURN])
    matrix[1, 2, 2] = 1
    moved, visible = act(x, matrix)
    assert torch.equal(moved[0], x[0].flip(-1))
    assert torch.equal(moved[1], x[1].flip(-2))
    assert torch.equal(moved[2], x[2].rot90(2, (-2, -1)))
    assert visible.all()
    square = size[0] == size[1]
    assert permutes(TURN[None], size).item() == square


@MODES
def test_shifts_by_whole_cells_keep_the_numbers_and_say_what_came_in(interpolation) -> None:
    x = grid(2, 6, 8)
    shift = torch.tensor([3 / 8, -8 / 8], dtype=DOUBLE)
    matrix = affinity((6, 8), translate_x=shift, translate_y=shift * 0 + 2 / 6)
    moved, visible = act(x, matrix, interpolation=interpolation)
    assert torch.equal(moved[0, :, 2:, 3:], x[0, :, :-2, :-3])
    assert visible[0, 0, 2:, 3:].all()
    assert visible[0].sum() == 4 * 5
    assert (moved[~visible.expand_as(moved)] == 0).all()
    assert not visible[1].any()
    assert not permutes(matrix, (6, 8)).any()


def test_other_elements_resample_as_images_are() -> None:
    x = grid(3, 9, 9)
    matrix = affinity((9, 9), angle=torch.tensor([0.1, 0.0, 0.31], dtype=DOUBLE))
    moved, visible = act(x, matrix)
    expected = warp(x, matrix, interpolation="bilinear", fill=0.0)
    assert torch.equal(moved[[0, 2]], expected[[0, 2]])
    assert torch.equal(moved[1], x[1])
    # a constant grid stays constant where nothing from outside comes in, and nowhere else
    ones, _ = act(torch.ones(3, 1, 9, 9), matrix)
    assert torch.equal(ones > 1 - 1e-5, visible)
    assert visible[1].all()
    assert not visible[0].all()


def test_a_matrix_may_serve_all_samples_and_the_grid_change_its_size() -> None:
    x = grid(2, 8, 8)
    crop = affinity((8, 8), scale=torch.tensor([2.0], dtype=DOUBLE))[0]
    moved, visible = act(x, crop, size=(4, 4))
    assert torch.equal(moved, x[:, :, 2:6, 2:6])
    assert visible.all()
    larger, visible = act(x, identity(crop), size=(16, 16))
    expected = F.interpolate(x, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(larger[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])
    assert visible[:, :, 1:-1, 1:-1].all()


@settings(max_examples=5)
@given(seed=st.integers(0, 2**31))
def test_an_encoder_with_symmetric_filters_is_equivariant(seed: int) -> None:
    """Convolution, stride and pooling included: what this action is for."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(8, 3, 16, 16, generator=generator, dtype=DOUBLE)
    weights = [torch.randn(6, 3, 3, 3, generator=generator, dtype=DOUBLE)]
    weights += [torch.randn(4, 6, 3, 3, generator=generator, dtype=DOUBLE)]

    def encode(x: Tensor, symmetric: bool = True) -> Tensor:
        for weight in weights:
            kinds = range(8) if symmetric else [0]
            kernel = torch.stack([by_hand(weight, k) for k in kinds]).mean(dim=0)
            x = F.avg_pool2d(F.conv2d(x, kernel, padding=1).relu(), 2)
        return x

    matrix = torch.stack(SYMMETRIES)
    seen, _ = act(images, matrix)
    expected, visible = act(encode(images), matrix)
    assert visible.all()
    torch.testing.assert_close(encode(seen), expected, rtol=0, atol=1e-12)
    plain, _ = act(encode(images, symmetric=False), matrix)
    assert (encode(seen, symmetric=False) - plain).abs().max() > 1e-3


def test_gradients_reach_features_and_matrix_for_exact_samples_too() -> None:
    x = grid(2, 5, 5).double().requires_grad_()
    matrix = affinity((5, 5), angle=torch.tensor([0.0, 0.07], dtype=DOUBLE)).requires_grad_()
    moved, _ = act(x, matrix)
    (moved * torch.randn_like(moved)).sum().backward()
    assert x.grad.flatten(1).abs().amax(dim=1).gt(0).all()
    assert matrix.grad.flatten(1).abs().amax(dim=1).gt(0).all()
    assert torch.isfinite(matrix.grad).all()
    angle = torch.tensor([0.03, 0.07], dtype=DOUBLE)
    # off the centre, which would come from its own cell's centre, where there is a kink
    turned = affinity((5, 5), angle=angle, translate_x=angle, translate_y=-angle).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, m: act(f, m)[0], (x, turned))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_moved_as_exactly(dtype: torch.dtype) -> None:
    x = grid(8, 7, 7).to(dtype)
    moved, _ = act(x, torch.stack(SYMMETRIES))
    assert moved.dtype == dtype
    assert all(torch.equal(moved[k], by_hand(x[k], k)) for k in range(8))


# --- views -----------------------------------------------------------------------------------


def compiled(**views: list[dict[str, Any]]) -> Pipeline:
    document = {"version": 1, "name": "t"}
    return augspec.compile(
        augspec.loads(json.dumps({**document, "views": {k: {"ops": v} for k, v in views.items()}}))
    )


def test_what_equivariance_can_be_exact_to() -> None:
    flip, quarter = {"op": "vertical_flip", "p": 0.5}, {"op": "rotate90"}
    crop, gray = {"op": "resized_crop", "size": 8}, {"op": "grayscale", "p": 0.5}
    turn = {"op": "rotate", "degrees": [-9, 9]}
    pipeline = compiled(
        v=[
            crop,
            {"op": "maybe", "ops": [flip, gray, turn]},
            {"op": "random_order", "ops": [quarter, gray, {"op": "invert", "p": 0.5}]},
            {"op": "mix", "ops": [flip]},
            {"op": "elastic"},
        ],
        plain=[],
    )
    assert invertible(pipeline, view="v") == ("maybe.vertical_flip", "random_order.rotate90")
    lost = not_invertible(pipeline.plan, view="v")
    assert set(lost) == {"resized_crop", "maybe.rotate"}
    assert "outside" in lost["resized_crop"]
    assert invertible(pipeline, view="plain") == ()
    with pytest.raises(KeyError, match="no view 'plane'"):
        invertible(pipeline, view="plane")


def test_invertible_ops_permute_and_their_element_is_undone() -> None:
    """Each op that is named is one that `act` treats exactly, whatever it draws."""
    pipeline = compiled(v=[{"op": "horizontal_flip", "p": 0.5}, {"op": "rotate90"}])
    assert invertible(pipeline, view="v") == ("horizontal_flip", "rotate90")
    x = torch.rand(16, 3, 8, 8)
    batch = pipeline(x, ids=torch.arange(16), epoch=0)
    matrix = view_matrix(pipeline, batch.params["v"], (8, 8), view="v")
    assert permutes(matrix, (7, 7)).all()
    assert torch.equal(act(x, matrix)[0], batch.views["v"])
    assert len({tuple(m.flatten().tolist()) for m in matrix + 0.0}) == 8


def test_the_scene_of_a_view_is_what_was_not_filled_in() -> None:
    """Filled with a colour that no image has, what is not this colour is the scene."""
    far = {"op": "translate", "x": [-0.4, 0.4], "y": [-0.4, 0.4], "fill": 0.0}
    back = {"op": "affine", "degrees": [-40, 40], "scale": [0.6, 1.2], "fill": 0.0}
    pipeline = compiled(
        v=[far, back, {"op": "random_crop", "size": 30, "padding": 4}, {"op": "solarize", "p": 0.0}]
    )
    x = torch.full((12, 3, 32, 32), 1.0)
    batch = pipeline(x, ids=torch.arange(12), epoch=0)
    shown = scene(pipeline, batch.params["v"], (32, 32), view="v")
    assert shown.shape == (12, 1, 30, 30)
    assert torch.equal(shown, batch.views["v"][:, :1] > 1 - 1e-4)
    assert 0.2 < shown.float().mean() < 0.9


def test_views_without_parameters_and_without_moves_show_everything() -> None:
    pipeline = compiled(v=[{"op": "solarize", "p": 0.5}], plain=[], moved=[{"op": "pad"}])
    assert scene(pipeline, {}, (5, 6), view="plain", batch=2).shape == (2, 1, 5, 6)
    assert scene(pipeline, {}, (5, 6), view="plain").all()
    params = pipeline.decode(pipeline.draw(torch.arange(3), 0, (5, 6)))
    assert scene(pipeline, params["v"], (5, 6), view="v").shape == (3, 1, 5, 6)
    padded = scene(pipeline, {}, (5, 6), view="moved", batch=2)
    assert torch.equal(padded, F.pad(torch.ones(2, 1, 5, 6), (4, 4, 4, 4)) > 0)
    both = overlap(pipeline, params["v"], {}, (5, 6), views=("v", "moved"))
    assert torch.equal(both, padded[:1].expand(3, -1, -1, -1))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    x, matrix = grid(8, 7, 7), torch.stack(SYMMETRIES)
    matrix[3] = affinity((7, 7), angle=torch.tensor([0.1], dtype=DOUBLE))[0]
    there = x.cuda(), matrix.cuda()
    act(*there)
    torch.cuda.set_sync_debug_mode("error")
    try:
        moved, visible = act(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected, known = act(x, matrix)
    torch.testing.assert_close(moved.cpu(), expected, rtol=0, atol=2e-5)
    assert torch.equal(visible.cpu(), known)
