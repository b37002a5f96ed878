"""Noise, channels, JPEG and blurs against torchvision, Kornia and libjpeg, and their codes."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import kornia
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image, decode_jpeg, encode_jpeg
from torchvision.transforms.v2 import functional as F

import augspec
from augspec.kernels.fields import normal_field, uniform_field
from augspec.kernels.filters import motion_blur, motion_kernel
from augspec.kernels.jpeg import _CHROMA, _LUMA, jpeg, quantisation_steps
from augspec.language.values import Choice, Constant, Uniform
from augspec.ops.box_blur import BoxBlur
from augspec.ops.channel_drop import ChannelDrop
from augspec.ops.channel_shuffle import ChannelShuffle
from augspec.ops.contract import Incoming, Op
from augspec.ops.gaussian_noise import GaussianNoise
from augspec.ops.jpeg import Jpeg
from augspec.ops.median_blur import MedianBlur
from augspec.ops.motion_blur import MotionBlur
from augspec.ops.planckian import GAINS, ILLUMINANTS, Planckian
from augspec.ops.salt_and_pepper import SaltAndPepper

SIZE = (20, 24)


def images(batch: int = 6, channels: int = 3, size: tuple[int, int] = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, channels, *size, generator=generator)


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def evenly(op: Op, batch: int) -> Tensor:
    """Uniforms `(batch, draws)`, each column evenly spread, in an order of its own."""
    generator = torch.Generator().manual_seed(2)
    column = (torch.arange(batch, dtype=torch.float64) + 0.5) / batch
    return torch.stack(
        [column[torch.randperm(batch, generator=generator)] for _ in range(op.draws)], dim=1
    )


# ---- channels


def test_channel_shuffle_is_torchvisions_permute_channels() -> None:
    op, x = ChannelShuffle(), images()
    view = op.apply(x, {"permutation": torch.arange(6, dtype=torch.float64)})
    for k, permutation in enumerate(itertools.permutations(range(3))):
        assert torch.equal(view[k], F.permute_channels(x[k], list(permutation)))
    (parameter,) = op.parameters()
    assert parameter.codec.columns == ("rbg", "grb", "gbr", "brg", "bgr")
    # column `gbr` is green, blue, red in the places of red, green, blue
    assert torch.equal(view[3], x[3, [1, 2, 0]])


def test_channels_are_drawn_evenly() -> None:
    shuffled = ChannelShuffle().sample(evenly(ChannelShuffle(), 600), SIZE)["permutation"]
    assert torch.equal(shuffled.unique(), torch.arange(6.0).double())
    assert (torch.bincount(shuffled.long()) == 100).all()
    dropped = ChannelDrop().sample(evenly(ChannelDrop(), 600), SIZE)["channel"]
    assert torch.bincount(dropped.long()).tolist() == [0, 200, 200, 200]


def test_channel_drop_fills_one_channel() -> None:
    op, x = ChannelDrop(fill=0.25), images(4)
    view = op.apply(x, {"channel": f64(0, 1, 2, 3)})
    for sample, channel in ((1, 0), (2, 1), (3, 2)):
        assert (view[sample, channel] == 0.25).all()
        kept = [c for c in range(3) if c != channel]
        assert torch.equal(view[sample, kept], x[sample, kept])
    assert torch.equal(view[0], x[0])
    code = op.encode({"channel": f64(0, 1, 2, 3)})
    assert torch.equal(code[1:], torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("op", [ChannelShuffle(), ChannelDrop(), Planckian()])
def test_ops_on_colours_are_refused_on_one_channel(op: Op) -> None:
    document = {"version": 1, "name": "t", "image": {"channels": 1}}
    with pytest.raises(ValueError, match=f"{op.tag()} needs colour"):
        augspec.Spec.model_validate({**document, "views": {"v": {"ops": [op.model_dump()]}}})
    gray = images(3, channels=1)
    params = op.sample(evenly(op, 3), SIZE)
    assert torch.equal(op.apply(gray, params), gray)


@pytest.mark.parametrize("mode", ["blackbody", "cied"])
def test_planckian_has_kornias_pixels_for_each_illuminant(mode: str) -> None:
    op, count = Planckian(mode=mode), ILLUMINANTS[mode]
    theirs = kornia.augmentation.RandomPlanckianJitter(
        mode=mode.upper() if mode == "cied" else mode, p=1.0
    )
    assert len(theirs.pl) == count
    u = ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]
    params = op.sample(u, SIZE)
    x = images(count)
    expected = theirs.apply_transform(x, {"idx": torch.arange(count)}, {})
    assert torch.equal(op.apply(x, params), expected)
    decoded = op.decode(op.encode(params).float())
    torch.testing.assert_close(op.apply(x, decoded), expected, rtol=0, atol=1e-6)
    assert (expected == 1).any() and len(expected.unique(dim=0)) == count


@pytest.mark.parametrize("mode", ["blackbody", "cied"])
def test_the_extreme_gains_are_those_of_kornias_table(mode: str) -> None:
    table = Planckian(mode=mode).sample(evenly(Planckian(), 500), SIZE)
    for name, (low, high) in GAINS[mode].items():
        assert (table[name].min().item(), table[name].max().item()) == (low, high)


def test_checking_a_planckian_spec_imports_neither_torch_nor_kornia() -> None:
    code = (
        "import sys\nfrom augspec.ops.planckian import Planckian\nPlanckian().parameters()\n"
        "sys.exit('torch' in sys.modules or 'kornia' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- noise


def test_gaussian_noise_is_torchvisions_formula_on_a_field_of_the_seed() -> None:
    op, x = GaussianNoise(), images(3)
    params = {"mean": f64(0.0, 0.1, -0.2), "sigma": f64(0.1, 0.02, 0.3), "seed": f64(1, 2, 3)}
    field = normal_field(params["seed"], (3, *SIZE), "gaussian_noise").float()
    mean, sigma = (params[name].float().reshape(-1, 1, 1, 1) for name in ("mean", "sigma"))
    view = op.apply(x, params)
    torch.testing.assert_close(view, (x + mean + sigma * field).clamp(0, 1), rtol=0, atol=1e-6)
    assert view.min() == 0 and view.max() == 1


def test_gaussian_noise_has_the_declared_mean_and_sigma() -> None:
    x = torch.full((4, 3, 64, 64), 0.5, dtype=torch.float64)
    params = {"mean": f64(0, 0.05, 0, -0.05), "sigma": f64(0.02, 0.02, 0.05, 0.05)}
    noise = GaussianNoise().apply(x, {**params, "seed": f64(5, 6, 7, 2**32 - 1)}) - x
    for k in range(4):
        reference = stats.norm(params["mean"][k].item(), params["sigma"][k].item())
        assert stats.kstest(noise[k].flatten().numpy(), reference.cdf).pvalue > 1e-3
    flat = noise.flatten(1) - noise.flatten(1).mean(dim=1, keepdim=True)
    correlation = torch.corrcoef(flat)[torch.triu(torch.ones(4, 4), 1) > 0]
    assert (correlation.abs() < 0.05).all()  # seeds have fields of their own
    # and so have the channels
    assert torch.corrcoef(noise[0].flatten(1))[0, 1].abs() < 0.05


def test_the_seed_of_noise_is_kept_only_where_it_can_be_seen() -> None:
    params = {"mean": f64(0.1, 0.1, 0), "sigma": f64(0, 0.1, 0), "seed": f64(7, 7, 7)}
    canonical = GaussianNoise().canonical(params)
    assert canonical["seed"].tolist() == [0, 7, 0]
    assert GaussianNoise().active(canonical).tolist() == [True, True, False]
    salted = {"amount": f64(0, 0.2), "salt": f64(0.3, 0.3), "seed": f64(7, 7)}
    canonical = SaltAndPepper().canonical(salted)
    assert canonical["seed"].tolist() == [0, 7]
    assert canonical["salt"].tolist() == [0, 0.3]
    assert SaltAndPepper().encode(salted)[0].tolist() == [0, 0]


def test_salt_and_pepper_are_the_declared_fractions() -> None:
    op = SaltAndPepper()
    x = torch.full((3, 3, 200, 200), 0.5)
    params = {"amount": f64(0.05, 0.3, 0.0), "salt": f64(0.4, 0.75, 0.5), "seed": f64(1, 2, 3)}
    view = op.apply(x, params)
    assert torch.equal(view, view[:, :1].expand_as(view))  # all channels alike
    salt, pepper = (view[:, 0] == 1).double(), (view[:, 0] == 0).double()
    assert set(view.unique().tolist()) == {0.0, 0.5, 1.0}
    for k in range(3):
        amount, fraction = params["amount"][k].item(), params["salt"][k].item()
        for seen, expected in ((salt, amount * fraction), (pepper, amount * (1 - fraction))):
            error = math.sqrt(max(expected * (1 - expected), 1e-12) / 200**2)
            assert abs(seen[k].mean().item() - expected) <= 4 * error


def test_salt_and_pepper_follows_kornia_for_the_same_masks() -> None:
    op, x = SaltAndPepper(), images(3)
    params = {"amount": f64(0.1, 0.3, 0.5), "salt": f64(0.4, 0.75, 1.0), "seed": f64(1, 2, 3)}
    field = uniform_field(params["seed"], (2, *SIZE), "salt_and_pepper")[:, :, None]
    noisy = field[:, 0] < params["amount"].reshape(-1, 1, 1, 1)
    white = field[:, 1] < params["salt"].reshape(-1, 1, 1, 1)
    masks = {"mask_salt": noisy & white, "mask_pepper": noisy & ~white}
    masks = {name: mask.expand_as(x) for name, mask in masks.items()}
    theirs = kornia.augmentation.RandomSaltAndPepperNoise(p=1.0).apply_transform(x, masks, {})
    assert torch.equal(op.apply(x, params), theirs)


def test_the_gradient_reaches_the_pixels_that_noise_leaves() -> None:
    x = images(2).requires_grad_()
    params = {"amount": f64(0.3, 0.3), "salt": f64(0.5, 0.5), "seed": f64(1, 2)}
    view = SaltAndPepper().apply(x, params)
    view.sum().backward()
    assert x.grad is not None
    covered = (view == 0) | (view == 1)
    assert torch.equal(x.grad, (~covered).float())
    assert covered.any() and not covered.all()


# ---- JPEG


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10((a - b).square().mean().item())


def test_the_steps_are_those_of_files(tmp_path: Path) -> None:
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    for quality in (1, 10, 25, 49, 50, 51, 75, 90, 99, 100):
        name = tmp_path / "a.jpg"
        Image.new("RGB", (16, 16)).save(name, quality=quality)
        tables = JpegImageFile(name).quantization  # Pillow gives them in reading order
        for k, table in enumerate((_LUMA, _CHROMA)):
            steps = quantisation_steps(table, f64(quality))[0]
            assert torch.equal(steps.flatten(), f64(*tables[k])), (quality, k)


@pytest.mark.parametrize(("quality", "least"), [(30, 42.0), (50, 42.0), (75, 45.0), (95, 47.5)])
def test_jpeg_is_close_to_libjpegs_and_closer_than_kornias(
    photos: list[Path], quality: int, least: float
) -> None:
    ours, theirs, changed = [], [], []
    for path in photos[:12]:
        levels = decode_image(str(path), ImageReadMode.RGB)[:, :203, :310]  # no multiples of 16
        x = levels[None] / 255
        real = decode_jpeg(encode_jpeg(levels, quality))[None] / 255
        view = Jpeg().apply(x, {"on": f64(1), "quality": f64(quality)})
        kornias = kornia.enhance.jpeg_codec_differentiable(x, torch.tensor([float(quality)]))
        ours.append(psnr(view, real))
        theirs.append(psnr(kornias.clamp(0, 1), real))
        changed.append(psnr(x, real))
    mean = sum(ours) / len(ours)
    assert mean > least
    assert mean > sum(theirs) / len(theirs)
    assert mean > sum(changed) / len(changed) + 6


def test_jpeg_of_one_channel_is_a_grayscale_file(photos: list[Path]) -> None:
    levels = decode_image(str(photos[0]), ImageReadMode.GRAY)[:, :101, :77]
    real = decode_jpeg(encode_jpeg(levels, 60))[None] / 255
    assert real.shape[1] == 1
    x = levels[None] / 255
    view = jpeg(x, f64(60))
    assert view.shape == x.shape
    assert psnr(view, real) > max(42.0, psnr(x, real) + 6)


def test_each_sample_has_its_own_quality() -> None:
    x = images(4, size=(21, 37))
    quality = f64(10, 40, 90, 100)
    together = jpeg(x, quality)
    for k in range(4):
        torch.testing.assert_close(together[k], jpeg(x[k : k + 1], quality[k : k + 1])[0])
    errors = (together - x).square().mean(dim=(1, 2, 3))
    assert (errors.diff() < 0).all()
    assert together.min() >= 0 and together.max() <= 1
    half = jpeg(x.half(), quality)
    assert half.dtype == torch.float16
    assert psnr(half.float(), together) > 40


def test_between_whole_qualities_the_steps_are_in_between_and_move() -> None:
    quality = f64(49.25, 80.5).requires_grad_()
    steps = quantisation_steps(_LUMA, quality)
    low, high = (quantisation_steps(_LUMA, f(quality.detach())) for f in (torch.floor, torch.ceil))
    between = torch.tensor([0.25, 0.5], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(steps, low + between * (high - low))
    steps.sum().backward()
    assert quality.grad is not None and (quality.grad < 0).all()
    x = (images(2, size=(16, 16)).double() * 0.8 + 0.1).requires_grad_()
    wanted = f64(30.5, 71.25).requires_grad_()
    assert torch.autograd.gradcheck(jpeg, (x, wanted), fast_mode=True)


def test_whole_qualities_are_drawn_evenly_and_unused_ones_are_not_coded() -> None:
    op = Jpeg(quality=Uniform(30.0, 39.0))
    drawn = op.sample(evenly(op, 1000), SIZE)["quality"]
    assert torch.equal(drawn.unique(), torch.arange(30.0, 40.0).double())
    assert (torch.bincount(drawn.long())[30:] == 100).all()
    assert Jpeg().canonical({"on": f64(0, 1), "quality": f64(70, 70)})["quality"].tolist() == [
        0,
        70,
    ]
    for wrong in (Constant(50.5), Uniform(30.0, 90.5), Choice((10.0, 20.5), (1.0, 1.0))):
        with pytest.raises(ValueError, match="whole number from 1 to 100"):
            Jpeg.model_validate({"quality": wrong.document()})


# ---- blurs


@pytest.mark.parametrize("kernel", [3, 5, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_box_and_median_blurs_are_kornias(kernel: int, channels: int) -> None:
    x, on = images(4, channels), f64(1, 0, 1, 0)
    box = BoxBlur(kernel=kernel).apply(x, {"on": on})
    median = MedianBlur(kernel=kernel).apply(x, {"on": on})
    torch.testing.assert_close(box[::2], kornia.filters.box_blur(x[::2], kernel))
    assert torch.equal(median[::2], kornia.filters.median_blur(x[::2], kernel))
    assert torch.equal(box[1::2], x[1::2]) and torch.equal(median[1::2], x[1::2])
    # by definition: the mean and the median of the pixels around one
    reach, where = kernel // 2, (10, 11)
    rows, columns = (slice(w - reach, w + reach + 1) for w in where)
    window = x[0, 0, rows, columns].flatten()
    assert box[0, 0, where[0], where[1]].item() == pytest.approx(window.mean().item(), abs=1e-6)
    assert median[0, 0, where[0], where[1]] == window.median()


def test_motion_blur_is_kornias_bilinear_one() -> None:
    x = images(8).double()
    degrees = f64(0, 35, -35, 90, 137.5, -90, 180, 301)
    direction = f64(0, 0.5, -0.5, 1, -1, 0.25, -0.75, 0)
    for kernel in (3, 5, 9):
        theirs = kornia.filters.motion_blur(x, kernel, degrees, direction, mode="bilinear")
        torch.testing.assert_close(
            motion_blur(x, degrees / 360, direction, kernel), theirs, rtol=0, atol=1e-9
        )
        weights = motion_kernel(degrees / 360, direction, kernel)
        torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(8).double())


def test_half_a_turn_with_the_direction_reversed_is_the_same_blur() -> None:
    op, x = MotionBlur(), images(4)
    angle = f64(0.125, -0.25, 0.25, 0.375)
    params = {"on": f64(1, 1, 1, 1), "angle": angle, "direction": f64(0.5, 1.0, 0.0, -0.3)}
    turned = {**params, "angle": angle + 0.5, "direction": -params["direction"]}
    torch.testing.assert_close(op.apply(x, turned), op.apply(x, params), rtol=0, atol=1e-6)
    assert torch.equal(op.encode(turned), op.encode(params))
    canonical = op.canonical(turned)
    assert canonical["angle"].tolist() == [0.125, 0.25, 0.25, -0.125]
    assert canonical["direction"].tolist() == [0.5, -1.0, 0.0, 0.3]
    torch.testing.assert_close(op.apply(x, canonical), op.apply(x, params), rtol=0, atol=1e-6)
    # other blurs have other codes
    assert not torch.equal(
        op.encode({**params, "direction": -params["direction"]})[0], op.encode(params)[0]
    )
    off = op.canonical({**params, "on": f64(0, 0, 0, 0)})
    assert all((value == 0).all() for value in off.values())


def test_motion_blur_moves_a_point_along_its_line() -> None:
    x = torch.zeros(2, 1, 15, 15, dtype=torch.float64)
    x[:, :, 7, 7] = 1
    op = MotionBlur(kernel=5)
    view = op.apply(x, {"on": f64(1, 1), "angle": f64(0, 0.25), "direction": f64(1, 1)})[:, 0]
    # as Kornia documents: heaviest to the point's right, and, turned anti-clockwise, above it
    expected = f64(0, 0.1, 0.2, 0.3, 0.4)
    torch.testing.assert_close(view[0, 7, 5:10], expected)
    torch.testing.assert_close(view[1, 5:10, 7], expected.flip(0))
    torch.testing.assert_close(view.sum(dim=(1, 2)), f64(1, 1))


@pytest.mark.parametrize("cls", [BoxBlur, MedianBlur, MotionBlur])
def test_a_kernel_past_the_mirrored_edge_is_a_mistake(cls: type[Op]) -> None:
    op = cls.model_validate({"kernel": 9})
    assert op.faults(Incoming((5, 8))) == [] and op.faults(Incoming(None)) == []
    (found,) = op.faults(Incoming((4, 8)))
    assert found.path == ("kernel",) and found.code == "AS109"
    assert "more than 4 pixels a side, got 4x8: at most 7" in found.message
    with pytest.raises(ValueError, match="odd numbers up to 7"):
        params = {p.name: f64(p.high or 0.0) for p in op.parameters()}
        op.apply(images(1, size=(4, 8)), params)
    for kernel, words in ((4, "such as 5"), (1, "greater than or equal to 3")):
        with pytest.raises(ValueError, match=words):
            cls.model_validate({"kernel": kernel})
