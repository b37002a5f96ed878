"""Several maps as one resample: against single warps, against exact cases, and its derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from augspec.kernels import merged
from augspec.kernels.homography import from_corners
from augspec.kernels.merged import Frame, footprint, resample_once
from augspec.kernels.warp import adjugate, warp

DOUBLE = torch.float64
SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=DOUBLE)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=DOUBLE).to(dtype)


def smooth(batch: int, height: int, width: int) -> Tensor:
    """Slow waves, one channel."""
    y, x = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 4, width)[None]
    phase = torch.linspace(0, 1, batch)[:, None, None]
    return (0.5 + 0.2 * (y + x + phase).sin() + 0.2 * (y - 1.3 * x).cos()).unsqueeze(1)


def affinities(batch: int, *, turn: float, scale: float, shift: float = 0.0) -> Tensor:
    """Turns up to `turn`, in radians, of a square image, in that scale and with a shift."""
    angle = torch.linspace(-turn, turn, batch, dtype=DOUBLE)
    cos, sin, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin, zero + shift, sin, cos, zero - shift, zero, zero, zero + 1]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def perspectives(batch: int, reach: float, seed: int = 0) -> Tensor:
    """The corners pushed outwards by up to `reach` of the sides, so that nothing is smaller."""
    out = (noise(batch, 4, 2, seed=seed, dtype=DOUBLE) + 0.2) / 1.2 * reach
    return from_corners(SQUARE + torch.where(SQUARE > 0.5, out, -out))


def identity(batch: int) -> Tensor:
    return torch.eye(3, dtype=DOUBLE).repeat(batch, 1, 1)


def shift(batch: int, x: float) -> Tensor:
    moved = identity(batch)
    moved[:, 0, 2] = x
    return moved


# --- one map, and many -----------------------------------------------------------------------


@pytest.mark.parametrize("projective", [False, True])
def test_one_map_is_a_warp_with_the_edge_weighted_once(projective: bool) -> None:
    """`warp` weights a border pixel with its part of the mask twice, as torchvision does."""
    x = noise(5, 3, 40, 40)
    matrix = perspectives(5, 0.3) if projective else affinities(5, turn=0.6, scale=1.0)
    frame = Frame((40, 40), 0.25, projective)
    found = resample_once(x, [matrix], [frame], (40, 40))
    expected = warp(x, matrix, interpolation="bilinear", fill=0.25)
    mask = warp(torch.ones_like(x), matrix, interpolation="bilinear", fill=0.0).sqrt()
    torch.testing.assert_close(found[mask > 0.999], expected[mask > 0.999], rtol=0, atol=5e-5)
    torch.testing.assert_close(found[mask < 0.001], expected[mask < 0.001], rtol=0, atol=1e-6)
    rim = (mask > 0.1) & (mask < 0.9)
    assert rim.any() != projective  # these perspectives push every edge out of the image
    shown = (expected - 0.25 * (1 - mask)) / mask.clamp_min(0.1) + 0.25 * (1 - mask)
    torch.testing.assert_close(found[rim], shown[rim], rtol=0, atol=2e-4)


def test_nearest_picks_the_pixels_that_one_warp_picks() -> None:
    x, matrix = noise(6, 3, 33, 40), affinities(6, turn=2.0, scale=0.9, shift=0.2)
    found = resample_once(x, [matrix], [Frame((33, 40), 0.25)], (33, 40), interpolation="nearest")
    expected = warp(x, matrix, interpolation="nearest", fill=0.25)
    assert (found != expected).any(dim=1).float().mean() < 0.002  # ties on the edge
    assert (found == 0.25).any()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_maps_that_look_at_nothing_beyond_are_their_product(interpolation) -> None:
    x = noise(4, 3, 30, 36, dtype=DOUBLE)
    maps = [perspectives(4, 0.2), affinities(4, turn=0.3, scale=1.6), perspectives(4, 0.1, seed=1)]
    frames = [Frame((30, 36)), Frame((20, 22)), Frame((31, 29))]
    found = resample_once(x, maps, frames, (24, 40), interpolation=interpolation)
    whole = maps[2] @ maps[1] @ maps[0] * -7.0  # the factor is free
    expected = resample_once(x, [whole], frames[:1], (24, 40), interpolation=interpolation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_what_an_image_in_between_did_not_hold_is_filled() -> None:
    """Half of the image is pushed out and pulled back: nothing moved, and half of it is gone."""
    x = noise(2, 3, 12, 20, dtype=DOUBLE)
    maps = [shift(2, 1.0), shift(2, -1.0)]
    frames = [Frame((12, 20), 0.2, projective=False), Frame((12, 20), 0.7, projective=False)]
    found = resample_once(x, maps, frames, (12, 20))
    torch.testing.assert_close(found[..., :10], x[..., :10], rtol=0, atol=1e-12)
    assert torch.allclose(found[..., 10:], torch.tensor(0.7, dtype=DOUBLE))
    twice = resample_once(x, [shift(2, 1.0), shift(2, 0.4)], frames, (12, 20))
    assert torch.allclose(twice[..., :4], torch.tensor(0.7, dtype=DOUBLE))  # the second looks there
    assert torch.allclose(twice[..., 4:14], torch.tensor(0.2, dtype=DOUBLE))  # and the first here
    torch.testing.assert_close(twice[..., 14:], x[..., :6], rtol=0, atol=1e-12)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_fills_lie_where_they_lie_step_by_step(interpolation) -> None:
    batch, side = 8, 64
    maps = [
        affinities(batch, turn=0.5, scale=0.9, shift=0.2),
        perspectives(batch, -0.2),
        affinities(batch, turn=-0.7, scale=1.1, shift=-0.3),
    ]
    x = torch.ones(batch, 1, side, side)
    expected = x
    for matrix in maps:
        expected = warp(expected, matrix, interpolation=interpolation, fill=0.0)
    frames = [Frame((side, side), 0.0)] * 3
    found = resample_once(x, maps, frames, (side, side), interpolation=interpolation)
    mine, theirs = found > 0.5, expected > 0.5
    overlap = (mine & theirs).sum((1, 2, 3)) / (mine | theirs).sum((1, 2, 3))
    assert theirs.float().mean() < 0.9
    assert overlap.min() > 0.95
    # each step moves an edge by a part of a pixel
    grown = max_pool2d(theirs.float(), 5, 1, 2) > 0
    shrunk = max_pool2d((~theirs).float(), 5, 1, 2) == 0
    assert not (mine & ~grown).any()
    assert not (shrunk & ~mine).any()


def test_maps_that_keep_the_outline_show_no_fill_and_samples_at_rest_stay_bit_by_bit() -> None:
    x = noise(4, 3, 17, 17)
    quarter = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=DOUBLE)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE))
    slant = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=DOUBLE)
    first = torch.stack([identity(1)[0], flip, quarter, slant])
    maps, frames = [first, identity(4)], [Frame((17, 17), 0.5)] * 2
    found = resample_once(x, maps, frames, (17, 17))
    assert torch.equal(found[0], x[0])
    torch.testing.assert_close(found[1], x[1].flip(-1), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[2], x[2].rot90(1, (-2, -1)), rtol=0, atol=1e-5)
    assert (found[3] == 0.5).float().mean() > 0.15
    assert resample_once(x, [identity(4)] * 2, frames, (17, 17)) is x


def test_a_sample_is_what_it_is_alone() -> None:
    x, maps = noise(5, 3, 50, 44), [affinities(5, turn=0.6, scale=0.7), perspectives(5, 0.2)]
    for size in ((50, 44), (16, 12)):
        frames = [Frame((50, 44), 0.0), Frame(size, 0.5)]
        found = resample_once(x, maps, frames, size)
        for k in range(5):
            own = [matrix[k : k + 1] for matrix in maps]
            alone = resample_once(x[k : k + 1], own, frames, size)
            torch.testing.assert_close(found[k : k + 1], alone, rtol=0, atol=2e-6)


# --- the prefilter ---------------------------------------------------------------------------


def test_footprints_are_those_of_the_maps() -> None:
    def of(matrix: Tensor, source: tuple[int, int], size: tuple[int, int]) -> list[list[float]]:
        return torch.stack(footprint(adjugate(matrix), source, size), dim=-1).tolist()

    assert of(identity(1), (30, 40), (30, 40)) == [[1, 1]]
    assert of(identity(1), (30, 40), (10, 80)) == [[3, 0.5]]
    turned = of(affinities(3, turn=0.7, scale=0.5), (32, 32), (32, 32))
    assert turned == [[pytest.approx(2.0)] * 2] * 3
    assert of(shift(1, 9.0), (30, 40), (15, 40)) == [[2, 1]]  # it shows nothing
    tiny = affinities(1, turn=0.0, scale=0.01, shift=0.01)  # and this hardly anything
    assert of(tiny, (32, 32), (32, 32)) == [[pytest.approx(100)] * 2]
    trapezium = SQUARE.clone()
    trapezium[:2, 0] = torch.tensor([0.25, 0.75])  # the upper edge is half as long
    ((_, wide),) = of(from_corners(trapezium[None]), (64, 64), (64, 64))
    assert 1 < wide < 2


@pytest.mark.parametrize("side", [32, 128])
def test_detail_that_the_result_cannot_show_is_averaged(side: int) -> None:
    """A fine checkerboard, four of its cells or more to a pixel, is gray; unfiltered it is not."""
    index = torch.arange(side)
    x = ((index[:, None] + index) % 2).float().expand(3, 1, side, side)
    for turn in (0.0, 0.6):
        matrix = affinities(3, turn=turn, scale=0.5)
        frames, size = [Frame((side, side), 0.5)], (side // 2, side // 2)
        gray = resample_once(x, [matrix], frames, size)
        assert (gray - 0.5).abs().max() < 0.1
        rough = resample_once(x, [matrix], frames, size, antialias=False)
        assert turn == 0 or (rough - 0.5).abs().max() > 0.3
    assert torch.allclose(gray.mean(dim=(1, 2, 3)), torch.tensor(0.5), atol=2e-3)


def test_a_box_of_a_large_image_is_cut_out_and_not_blurred() -> None:
    x = noise(4, 2, 200, 150)
    # boxes of about 20 pixels, magnified; some turned, one at the image's corner
    zoom = affinities(4, turn=0.5, scale=9.0, shift=2.0)
    zoom[3] = torch.diag(torch.tensor([8.0, 8.0, 1.0], dtype=DOUBLE))
    zoom[3, :2, 2] = 7.0
    frames = [Frame((200, 150), 0.0)]
    found = resample_once(x, [zoom], frames, (32, 24))
    expected = resample_once(x, [zoom], frames, (32, 24), antialias=False)
    assert (found - expected).abs().max() < 1e-4
    assert expected.std() > 0.1


def test_boxes_of_coarse_cells_average_as_much_as_all_pixels_would(monkeypatch) -> None:
    x = smooth(6, 160, 160) + 0.1 * noise(6, 1, 160, 160)
    maps = [affinities(6, turn=0.5, scale=1.2), perspectives(6, 0.1)]
    frames = [Frame((160, 160), 0.0)] * 2
    found = resample_once(x, maps, frames, (30, 34))
    monkeypatch.setattr(merged, "FINEST", 100)
    expected = resample_once(x, maps, frames, (30, 34))
    assert (found - expected).square().mean().sqrt() < 0.006
    plain = resample_once(x, maps, frames, (30, 34), antialias=False)
    assert (plain - expected).square().mean().sqrt() > 0.015


def test_a_horizon_in_view_gives_numbers_and_gradients() -> None:
    matrix = identity(2)
    matrix[0, 2, 0], matrix[1, 2, 1] = 1.5, -2.0
    matrix.requires_grad_()
    for side in (24, 200):
        x = noise(2, 1, side, side).requires_grad_()
        found = resample_once(x, [matrix], [Frame((side, side), 0.5)], (20, 20))
        (slope,) = torch.autograd.grad(found.square().sum(), matrix)
        assert torch.isfinite(found).all()
        assert torch.isfinite(slope).all()


# --- derivatives, dtypes, devices ------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("source", "size"), [((7, 6), (7, 6)), ((9, 8), (7, 6)), ((9, 10), (4, 3))]
)
def test_gradients_reach_images_and_maps(source, size, interpolation) -> None:
    """Enlarged, averaged in place, and in a box of coarse cells."""
    x = noise(2, 1, *source, dtype=DOUBLE).requires_grad_()
    corners = SQUARE + 0.2 * noise(2, 4, 2, seed=1, dtype=DOUBLE)
    first = from_corners(corners).requires_grad_()
    second = affinities(2, turn=0.3, scale=0.93, shift=0.11).requires_grad_()

    def forward(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        frames = [Frame(source), Frame(size, 0.3, projective=False)]
        return resample_once(x, [first, second], frames, size, interpolation=interpolation)

    assert torch.autograd.gradcheck(forward, (x, first, second))


@pytest.mark.parametrize(
    ("size", "interpolation"),
    [((24, 20), "bilinear"), ((9, 8), "bicubic"), ((24, 20), "nearest")],
)
def test_compiled_it_is_the_same(size, interpolation) -> None:
    def forward(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        frames = [Frame((24, 20)), Frame(size, 0.3), Frame(size, 0.1, projective=False)]
        maps = [first, second, second]
        return resample_once(x, maps, frames, size, interpolation=interpolation)

    x, first = noise(3, 3, 24, 20), perspectives(3, 0.2)
    second = affinities(3, turn=0.5, scale=0.8)  # the middle one is at rest
    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager")
    found, expected = compiled(x, first, second), forward(x, first, second)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_images_keep_their_dtype_and_autocast_changes_nothing(dtype: torch.dtype) -> None:
    x, maps = smooth(3, 40, 40), [affinities(3, turn=0.5, scale=0.7)]
    expected = resample_once(x, maps, [Frame((40, 40), 0.0)], (40, 40))
    found = resample_once(x.to(dtype), maps, [Frame((40, 40), 0.0)], (40, 40))
    assert found.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float64 else 0.01
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = resample_once(x, maps, [Frame((40, 40), 0.0)], (40, 40))
    assert torch.equal(inside, expected)


@pytest.mark.gpu
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_gpu_gives_the_same_without_making_the_host_wait(interpolation) -> None:
    x, maps = smooth(4, 80, 80), [affinities(4, turn=0.5, scale=0.7), perspectives(4, 0.2)]
    there, moved = x.cuda(), [matrix.cuda() for matrix in maps]
    for size in ((80, 80), (30, 24)):
        frames = [Frame((80, 80), 0.0), Frame(size, 0.5)]

        def forward(x: Tensor, maps: list[Tensor], frames=frames, size=size) -> Tensor:
            return resample_once(x, maps, frames, size, interpolation=interpolation)

        forward(there, moved)
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = forward(there, moved)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        apart = (found.cpu() - forward(x, maps)).abs()
        assert apart.mean() < 1e-5 if interpolation == "bilinear" else apart.mean() < 1e-3
