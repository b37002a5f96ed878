"""Pads, crops, deformations and cut-outs: others' draws and pixels, and codes that keep them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from augspec.kernels.fields import uniform_field
from augspec.language.codes import Code
from augspec.language.values import Choice, Constant, LogUniform, Uniform
from augspec.ops.contract import Incoming, Op, list_faults
from augspec.ops.cutout_grid import CutoutGrid
from augspec.ops.elastic import Elastic
from augspec.ops.erase import Erase
from augspec.ops.pad import Pad
from augspec.ops.random_crop import RandomCrop
from augspec.ops.thin_plate_spline import ThinPlateSpline

MODES = ["constant", "reflect", "edge", "symmetric"]
DRAWS = 4000


def images(batch: int, size: tuple[int, int], channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, channels, *size, generator=generator)


def drawn(op: Op, size: tuple[int, int], batch: int = DRAWS) -> dict[str, Tensor]:
    """A draw as a pipeline renders it: decoded from its float32 code."""
    generator = torch.Generator().manual_seed(1)
    (stream,) = op.streams()
    u = torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
    raw = op.canonical(op.draw([u], size))
    params = op.decode(op.encode(raw).float())
    return {**params, **{name: raw[name] for name in op.seeds}}


def identity(op: Op, batch: int = 1) -> dict[str, Tensor]:
    return {p.name: torch.full((batch,), p.identity, dtype=torch.float64) for p in op.parameters()}


def codes(op: Op, size: tuple[int, int], channels: int = 3) -> list[Code | None]:
    return [fault.code for fault in list_faults([op], Incoming(size, channels))]


@given(height=st.integers(8, 5000), width=st.integers(8, 5000), padding=st.integers(0, 7))
def test_float32_codes_keep_whole_pixel_boxes(height: int, width: int, padding: int) -> None:
    """What a draw places, its float32 code places at the very same pixels."""
    size, generator = (height, width), torch.Generator().manual_seed(height)
    u = torch.rand(200, 23, generator=generator, dtype=torch.float64)
    crop, erase = RandomCrop(size=8, padding=padding), Erase()
    raw = crop.draw([u[:, :3]], size)
    decoded = crop.decode(crop.encode(raw).float())
    places = torch.stack(crop.corner(decoded, size))
    assert torch.equal(places, torch.stack(crop.corner(raw, size)))
    first, last = -padding, torch.tensor(size) + padding - 8
    drawn = (first + (u[:, 1:3] * (last - first + 1)).floor()).T
    assert torch.equal(places, drawn)
    raw = erase.draw([u], size)
    decoded = erase.decode(erase.encode(raw).float())
    boxes = torch.stack(erase.box(decoded, size))
    assert torch.equal(boxes, torch.stack(erase.box(raw, size)))
    on = erase.active(raw)
    top, left, h, w = boxes[:, on]
    assert ((top >= 0) & (top + h <= height) & (left >= 0) & (left + w <= width)).all()


# pad


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [0, 5, (1, 2, 3, 4)])
def test_pad_is_torchvisions(mode: Any, padding: Any) -> None:
    op, x = Pad(padding=padding, mode=mode, fill=0.3), images(2, (9, 12))
    sides = padding if isinstance(padding, int) else list(padding)
    expected = F.pad(x, sides, fill=0.3, padding_mode=mode)
    assert torch.equal(op.apply(x, {}), expected)
    assert op.output_size((9, 12)) == expected.shape[-2:]


def test_pad_needs_an_image_that_can_be_mirrored_that_far() -> None:
    assert codes(Pad(padding=(0, 5, 9, 0), mode="reflect"), (6, 10)) == []
    assert codes(Pad(padding=(0, 6, 0, 0), mode="reflect"), (6, 10)) == [Code.IMAGE_SIZE]
    assert codes(Pad(padding=(0, 0, 10, 0), mode="reflect"), (6, 10)) == [Code.IMAGE_SIZE]
    assert codes(Pad(padding=(10, 6, 10, 6), mode="symmetric"), (6, 10)) == []
    assert codes(Pad(padding=(11, 0, 0, 0), mode="symmetric"), (6, 10)) == [Code.IMAGE_SIZE]
    assert codes(Pad(padding=99, mode="edge"), (6, 10)) == []
    with pytest.raises(ValueError, match="allowed: up to 5"):
        Pad(padding=6, mode="reflect").apply(images(1, (6, 10)), {})
    with pytest.raises(ValidationError):
        Pad(padding=-1)


# random_crop


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(20, 24), (21, 19)])
def test_random_crop_gives_torchvisions_pixels(mode: Any, size: tuple[int, int]) -> None:
    op = RandomCrop(size=(16, 17), padding=(1, 2, 3, 4), mode=mode, fill=0.5)
    x, params = images(64, size), drawn(op, size, 64)
    padded = F.pad(x, [1, 2, 3, 4], fill=0.5, padding_mode=mode)
    view, (top, left) = op.apply(x, params), op.corner(params, size)
    for i in range(64):
        place = int(top[i]) + 2, int(left[i]) + 1
        assert torch.equal(view[i], F.crop(padded[i], *place, 16, 17))


@pytest.mark.parametrize(
    ("size", "padding"), [((32, 32), 4), ((33, 40), (0, 1, 2, 3)), ((375, 500), 0)]
)
def test_random_crop_draws_torchvisions_boxes(size: tuple[int, int], padding: Any) -> None:
    op = RandomCrop(size=32, padding=padding)
    found = op.corner(drawn(op, size), size)
    sides = padding if isinstance(padding, int) else list(padding)
    crop = v2.RandomCrop(32, padding=sides)
    torch.manual_seed(0)
    theirs = [crop.make_params([torch.empty(3, *size)]) for _ in range(DRAWS)]
    before = (4, 4) if padding == 4 else (1, 0) if padding else (0, 0)
    for ours, key, margin in zip(found, ("top", "left"), before, strict=True):
        expected = torch.tensor([float(p[key]) for p in theirs]) - margin
        if len(expected.unique()) < 50:
            assert set(ours.unique().tolist()) == set(expected.unique().tolist())
        assert stats.ks_2samp(ours.numpy(), expected.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("size", [(20, 24), (21, 24), (22, 25), (23, 27)])
@pytest.mark.parametrize("box", [(8, 8), (9, 11), (20, 24)])
def test_the_identity_crop_is_torchvisions_center_crop(
    size: tuple[int, int], box: tuple[int, int]
) -> None:
    op, x = RandomCrop(size=box), images(1, size)
    assert torch.equal(op.apply(x, identity(op)), v2.CenterCrop(box)(x))


def test_each_box_of_a_random_crop_has_one_code() -> None:
    """Also the middle one, which a draw and the identity may both give."""
    size, op = (21, 20), RandomCrop(size=8, padding=2)
    params = drawn(op, size)
    for axis, name in enumerate(("center_y", "center_x")):
        starts = op.corner(params, size)[axis]
        pairs = set(zip(starts.tolist(), params[name].tolist(), strict=True))
        assert len(pairs) == size[axis] + 4 - 8 + 1 == len({start for start, _ in pairs})
        middle = op.corner(identity(op), size)[axis].item()
        assert (middle, 0.5) in pairs


def test_a_crops_code_means_the_same_place_on_another_resolution() -> None:
    small, large = RandomCrop(size=8, padding=2), RandomCrop(size=16, padding=4)
    params = drawn(small, (20, 24))
    for ours, theirs in zip(
        small.corner(params, (20, 24)), large.corner(params, (40, 48)), strict=True
    ):
        assert torch.equal(2 * ours, theirs)


def test_a_crop_that_padding_keeps_off_the_middle_is_the_nearest_one() -> None:
    op = RandomCrop(size=24, padding=(0, 0, 8, 8))  # boxes start at 0 to 4, the middle one at -2
    assert [start.item() for start in op.corner(identity(op), (20, 20))] == [0, 0]
    x = images(1, (20, 20))
    assert torch.equal(op.apply(x, identity(op))[..., :20, :20], x)


def test_a_crop_must_fit() -> None:
    assert codes(RandomCrop(size=28, padding=4), (20, 24)) == []
    assert codes(RandomCrop(size=29, padding=4), (20, 24)) == [Code.IMAGE_SIZE]
    assert codes(RandomCrop(size=8, padding=20, mode="reflect"), (20, 24)) == [Code.IMAGE_SIZE]
    op = RandomCrop(size=29, padding=4)
    assert op.parameters((20, 24))  # the mistake is reported, not raised
    with pytest.raises(ValueError, match="29x29 pixels does not fit into a padded image of 28x32"):
        op.apply(images(1, (20, 24)), identity(op))


# elastic


def test_elastic_gives_torchvisions_pixels_for_the_same_noise() -> None:
    """Its own sigma at each draw; the kernel is that of the largest, 4 pixels."""
    size, op = (40, 48), Elastic(alpha=Uniform(20, 60), sigma=Uniform(2, 4), fill=0.5)
    x, params = images(8, size), drawn(op, size, 8)
    view = op.apply(x, params)
    noise = 2 * uniform_field(params["seed"], (2, *size), "elastic").float() - 1
    assert op.kernel == 33
    for i in range(8):
        alpha, sigma = (40 * params[name][i].item() for name in ("alpha", "sigma"))
        dx, dy = (F.gaussian_blur(n[None], [33, 33], [sigma, sigma])[0] for n in noise[i])
        field = torch.stack([dx * alpha / size[1], dy * alpha / size[0]], dim=-1)[None]
        expected = F.elastic(x[i], field, fill=0.5)
        torch.testing.assert_close(view[i], expected, rtol=0, atol=1e-4)
    assert 20 <= 40 * params["alpha"].min() < 40 * params["alpha"].max() <= 60.0001


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.9, 5.0])
def test_the_elastic_kernel_is_torchvisions(sigma: float) -> None:
    torchvisions = int(8 * sigma + 1)
    torchvisions += torchvisions % 2 == 0
    assert Elastic(sigma=Constant(sigma)).kernel == torchvisions


def test_elastic_displaces_as_far_as_torchvision() -> None:
    """Pictures of a ramp show the displacement itself: its spread is that of torchvision's."""
    size, op = (48, 48), Elastic()
    ramp = (torch.arange(48) / 47).expand(512, 1, 48, 48).contiguous()
    ours = (op.apply(ramp, drawn(op, size, 512)) - ramp)[..., 12:-12, 12:-12]
    torch.manual_seed(0)
    theirs = torch.stack([v2.ElasticTransform()(ramp[:1]) - ramp[:1] for _ in range(512)])
    theirs = theirs[..., 12:-12, 12:-12]
    assert abs(ours.std() / theirs.std() - 1) < 0.06
    assert ours.mean().abs() < 0.1 * ours.std()


def test_elastic_without_strength_says_so() -> None:
    assert codes(Elastic(alpha=Constant(0.0)), (32, 32)) == [Code.NEVER_ACTS]
    assert codes(Elastic(sigma=Uniform(5, 63)), (32, 48)) == []
    assert codes(Elastic(sigma=Uniform(5, 64)), (32, 48)) == [Code.SIGMA_FOR_KERNEL]
    op = Elastic(alpha=Choice((0.0, 30.0), (1.0, 1.0)))
    params = drawn(op, (32, 32), 64)
    still = params["alpha"] == 0
    assert 0 < still.sum() < 64
    assert (params["sigma"][still] == 0).all() and (params["seed"][still] == 0).all()
    assert (params["sigma"][~still] > 0).all() and (params["seed"][~still] > 0).all()


# thin_plate_spline


def test_thin_plate_spline_is_kornias() -> None:
    from kornia.augmentation import RandomThinPlateSpline

    op, size = ThinPlateSpline(scale=0.3), (20, 24)
    x, params = images(8, size), drawn(op, size, 8)
    moves = torch.stack(
        [torch.stack([params[f"dx_{n}"], params[f"dy_{n}"]], dim=-1) for n in range(1, 6)], dim=1
    )
    kornias = RandomThinPlateSpline(scale=0.3, p=1.0)
    own = kornias.generate_parameters(x.shape)
    own["dst"] = own["src"] + moves.float()
    expected = kornias.apply_transform(x, own, kornias.flags)
    torch.testing.assert_close(op.apply(x, params), expected, rtol=0, atol=1e-4)
    assert (op.apply(x, params) - x).abs().flatten(1).amax(dim=1).min() > 0.1


def test_the_spline_moves_its_points_uniformly() -> None:
    op = ThinPlateSpline(scale=0.3)
    params = drawn(op, (20, 24))
    for value in params.values():
        assert stats.kstest(value.numpy(), "uniform", args=(-0.3, 0.6)).pvalue > 1e-3
    apart = torch.corrcoef(torch.stack(list(params.values()))) - torch.eye(10)
    assert apart.abs().max() < 0.06
    assert codes(ThinPlateSpline(scale=0.0), (20, 24)) == [Code.NEVER_ACTS]
    with pytest.raises(ValidationError):
        ThinPlateSpline(scale=0.51)


# erase


def test_erase_gives_torchvisions_pixels() -> None:
    op, size = Erase(fill=0.25), (37, 23)
    x, params = images(64, size), drawn(op, size, 64)
    view = op.apply(x, params)
    boxes = torch.stack(op.box(params, size), dim=-1)
    for i, (top, left, h, w) in enumerate(boxes.long().tolist()):
        assert torch.equal(view[i], F.erase(x[i], top, left, h, w, torch.tensor(0.25)))
        assert ((view[i] != x[i]).sum() == 3 * h * w) and h * w > 0


@pytest.mark.parametrize(
    ("size", "area", "ratio"),
    [
        ((32, 32), (0.02, 0.33), (0.3, 3.3)),
        ((30, 60), (0.3, 1.0), (0.5, 4.0)),
        ((8, 40), (0.5, 0.9), (0.8, 1.0)),  # hardly any box fits
        ((20, 20), (0.0001, 0.004), (0.1, 10.0)),  # many boxes round to nothing
    ],
)
def test_erase_draws_torchvisions_boxes(
    size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
) -> None:
    op = Erase(area=Uniform(*area), aspect=LogUniform(1 / ratio[1], 1 / ratio[0]))
    params = drawn(op, size)
    ours = torch.stack(op.box(params, size), dim=-1)
    on = op.active(params)
    eraser = v2.RandomErasing(p=1.0, scale=area, ratio=ratio)
    torch.manual_seed(0)
    draws = [eraser.make_params([torch.empty(3, *size)]) for _ in range(DRAWS)]
    rows = [[float(d[key]) for key in "ijhw"] for d in draws if d["v"] is not None]
    theirs = torch.tensor(
        [row for row in rows if row[2] * row[3] > 0] or torch.empty(0, 4).tolist()
    )
    assert abs(on.double().mean().item() - len(theirs) / DRAWS) < 0.03
    if size == (8, 40):
        assert len(theirs) == 0 and not on.any()
        return
    for k in range(4):
        assert stats.ks_2samp(ours[on][:, k].numpy(), theirs[:, k].numpy()).pvalue > 1e-3, k


def test_erase_draws_by_its_own_fields() -> None:
    """Two thirds of width over height, and a tenth of the area, up to whole pixels."""
    op, size = Erase(area=Constant(0.1), aspect=Constant(2 / 3)), (300, 400)
    _, _, h, w = op.box(drawn(op, size, 16), size)
    assert (h == round((12000 * 1.5) ** 0.5)).all() and (w == round((12000 / 1.5) ** 0.5)).all()


def test_a_box_without_pixels_is_the_identity() -> None:
    op = Erase()
    empty = {name: torch.tensor([0.3, 0.3]).double() for name in identity(op)}
    empty["height"], empty["width"] = torch.tensor([0.0, 0.2]).double(), torch.zeros(2).double()
    assert torch.equal(op.encode(empty), torch.zeros(2, 4, dtype=torch.float64))
    x = images(2, (8, 8))
    assert torch.equal(op.apply(x, empty), x)


def test_an_erase_that_can_never_fit_is_a_mistake() -> None:
    assert codes(Erase(), (32, 32)) == []
    assert codes(Erase(area=Constant(1.0)), (32, 32)) == [Code.NEVER_ACTS]
    tall = Erase(area=Constant(0.5), aspect=Constant(1.0))
    assert codes(tall, (32, 32)) == []
    assert codes(tall, (32, 8)) == [Code.NEVER_ACTS]
    assert not tall.active(drawn(tall, (32, 8), 64)).any()
    assert codes(Erase(area=Constant(1.0), p=0.0), (32, 32)) == []


# cutout_grid


def test_cutout_grid_erases_squares_in_a_grid() -> None:
    op, size = CutoutGrid(unit=Constant(0.4), ratio=Constant(0.5), fill=0.75), (20, 30)
    x, params = images(16, size), drawn(op, size, 16)
    view = op.apply(x, params)
    holes = (view == 0.75).all(dim=1)
    assert torch.equal(view, torch.where(holes[:, None], torch.tensor(0.75), x))
    # a unit has 8 pixels, whatever the offset: holes of 4 of them repeat with it
    assert torch.equal(holes[:, :12], holes[:, 8:]) and torch.equal(
        holes[:, :, :22], holes[:, :, 8:]
    )
    assert (holes[:, :8, :8].flatten(1).sum(1) == 16).all()
    assert len({tuple(h.flatten().tolist()) for h in holes}) > 8


def test_the_grid_is_moved_uniformly_and_scaled_as_its_fields_say() -> None:
    op = CutoutGrid(unit=Uniform(0.3, 0.6), ratio=Uniform(0.2, 0.7))
    params = drawn(op, (20, 24))
    laws = {"unit": (0.3, 0.3), "ratio": (0.2, 0.5), "offset_y": (-0.5, 1), "offset_x": (-0.5, 1)}
    for name, law in laws.items():
        assert stats.kstest(params[name].numpy(), "uniform", args=law).pvalue > 1e-3


def test_a_grids_code_is_the_same_grid_at_twice_the_resolution() -> None:
    """Each pixel's centre decides: where four small pixels agree, so does the large one."""
    op = CutoutGrid()
    params = drawn(op, (20, 24), 32)
    small = op.apply(torch.ones(32, 1, 20, 24), params)
    large = torch.nn.functional.avg_pool2d(op.apply(torch.ones(32, 1, 40, 48), params), 2)
    sure = (large == 0) | (large == 1)
    assert sure.double().mean() > 0.5
    assert torch.equal(small[sure], large[sure])


@pytest.mark.parametrize("ratio", [0.45, 0.3, 0.7])
def test_a_float32_code_erases_the_very_pixels_of_its_draw(ratio: float) -> None:
    """Also where a hole's rim, in exact numbers, lies on the pixels' centres."""
    op, x = CutoutGrid(unit=Constant(0.5), ratio=Constant(ratio)), torch.ones(1, 1, 20, 20)
    for offset in (0.0, 0.05, 0.25, -0.25, 0.5, -0.45):
        values = {"unit": 0.5, "ratio": ratio, "offset_y": offset, "offset_x": -offset}
        params = {name: torch.tensor([v], dtype=torch.float64) for name, v in values.items()}
        decoded = op.decode(op.encode(params).float())
        assert torch.equal(op.apply(x, params), op.apply(x, decoded))


def test_offsets_a_unit_apart_have_one_code() -> None:
    op = CutoutGrid()
    values = {"unit": 0.4, "ratio": 0.5, "offset_y": 0.25, "offset_x": -0.125}
    first = {name: torch.tensor([v], dtype=torch.float64) for name, v in values.items()}
    second = {**first, "offset_y": first["offset_y"] - 1, "offset_x": first["offset_x"] + 1}
    assert torch.equal(op.encode(first), op.encode(second))
    nothing = {**first, "ratio": torch.zeros(1, dtype=torch.float64)}
    assert torch.equal(op.encode(nothing), torch.zeros(1, 6, dtype=torch.float64))


def test_a_unit_keeps_something() -> None:
    with pytest.raises(ValidationError, match="nothing is left of a unit"):
        CutoutGrid(ratio=Constant(1.0))
    with pytest.raises(ValidationError):
        CutoutGrid(unit=Uniform(0.5, 1.5))
