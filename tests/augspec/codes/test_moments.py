"""Moments of codes from the spec: against draws of another seed, pooled, and over sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import augspec
from augspec.codes.moments import moments
from augspec.codes.statistics import ColumnStatistics, Known, statistics

DRAWS = 4_000


def spec_of(*ops: dict[str, Any], size: int | None = 24, **views: list[dict[str, Any]]) -> Any:
    named = {"v": {"ops": list(ops)}} if ops else {k: {"ops": own} for k, own in views.items()}
    image = {"image": {"size": size}} if size else {}
    return augspec.loads(json.dumps({"version": 1, "name": "t", **image, "views": named}))


def error(found: ColumnStatistics, spec: augspec.Spec, size: tuple[int, int]) -> float:
    """By how many standard errors draws of another seed are off, at most."""
    pipeline = augspec.compile(spec, seed=1)
    codes = pipeline.draw(torch.arange(DRAWS), 0, size, torch.arange(DRAWS) * 64)
    x = torch.cat([codes[view].double() for view in found.views])
    # the views of a sample may share draws
    own = torch.stack([codes[view].double() for view in found.views]).mean(dim=0)
    stderr = (own.std(dim=0) / DRAWS**0.5).hypot(found.stderr) + 1e-7
    deviation = (x.square().mean(dim=0) - x.mean(dim=0).square()).clamp_min(0).sqrt()
    fourth = (x - x.mean(dim=0)).square().var(dim=0) / DRAWS
    spread = (fourth.sqrt() / (2 * found.std + 1e-9)).hypot(found.std_stderr) + 1e-6
    off = ((x.mean(dim=0) - found.mean) / stderr, (deviation - found.std) / spread)
    return max(part.abs().max().item() for part in off)


@pytest.mark.parametrize(
    "name", ["simclr-cifar10", "byol-cifar10", "augmix", "trivialaugment-wide", "care-cifar10"]
)
def test_moments_are_those_of_draws(root: Path, name: str) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / f"{name}.yaml")
    view = next(v.name for v in augspec.make_plan(spec).views if v.layout.width)
    size = spec.input_size or (40, 48)
    found = moments(spec, views=[view], sizes=[size], draws=DRAWS)
    assert found.draws == DRAWS
    assert found.names == augspec.compile(spec).layouts[view].column_names
    assert error(found, spec, size) < 5.5


def test_what_is_exact_needs_no_draw_and_no_size() -> None:
    spec = spec_of(
        {"op": "horizontal_flip", "p": 0.25},
        {"op": "color_jitter", "brightness": 0.4, "p": 0.8},
        size=None,
    )
    found = moments(spec)
    assert found.exact.all() and found.draws == 0
    assert not found.stderr.any() and not found.std_stderr.any()
    assert found.mean[0].item() == 0.25
    assert found.std[0].item() == pytest.approx((0.25 * 0.75) ** 0.5)
    assert found.std[1].item() == pytest.approx(0.4 * (0.8 / 3) ** 0.5)
    # what different ops draw does not vary together
    assert not found.covariance[0, 1:].any()


def test_a_draw_needs_the_size_of_the_images() -> None:
    spec = spec_of({"op": "resized_crop", "size": 16}, size=None)
    with pytest.raises(ValueError, match=r"size of the images.*image\.size"):
        moments(spec)
    assert moments(spec, sizes=[(20, 30)], draws=100).draws == 100


def test_moments_are_the_same_every_time_and_more_exact_with_more_draws() -> None:
    spec = spec_of({"op": "resized_crop", "size": 16}, {"op": "grayscale", "p": 0.2})
    few, again, many = (moments(spec, draws=n) for n in (1000, 1000, 16000))
    assert torch.equal(few.mean, again.mean) and torch.equal(few.covariance, again.covariance)
    assert (few.stderr[:4] / many.stderr[:4] - 4).abs().max() < 0.4
    assert few.exact.tolist() == [False] * 4 + [True]
    # known to be zero, not merely small
    assert not few.covariance[4, :4].any()


def test_views_are_pooled_as_a_predictor_sees_them(root: Path) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "byol-cifar10.yaml")
    found = moments(spec, draws=2000)
    assert found.views == ("first", "second")
    row = dict(zip(found.names, zip(found.mean, found.std, strict=True), strict=True))
    # on in none of the first views and in a fifth of the second
    assert row["solarize.on"][0].item() == pytest.approx(0.1)
    assert row["solarize.on"][1].item() == pytest.approx(0.3)
    # sigma is U[0.1, 2] of 32 pixels, in all of the first views and a tenth of the second
    mean, second = 1.05 / 32, (2**3 - 0.1**3) / 3 / 1.9 / 32**2
    assert row["gaussian_blur.sigma"][0].item() == pytest.approx(0.55 * mean)
    std = (0.55 * second - (0.55 * mean) ** 2) ** 0.5
    assert row["gaussian_blur.sigma"][1].item() == pytest.approx(std)
    # the views differ in both, so that knowing one says something of the other
    blur, on = found.names.index("gaussian_blur.sigma"), found.names.index("solarize.on")
    between = 0.5 * (0.1 * mean * 0.2) + 0.5 * 0 - 0.55 * mean * 0.1
    assert found.covariance[blur, on].item() == pytest.approx(between)


def test_views_of_different_layouts_are_not_pooled() -> None:
    spec = spec_of(a=[{"op": "grayscale", "p": 0.5}], b=[{"op": "invert", "p": 0.5}], c=[])
    with pytest.raises(ValueError, match=r"(?s)'a' and 'b'.*\+ invert\.on"):
        moments(spec)
    assert moments(spec, views=["b"]).names == ("invert.on",)
    with pytest.raises(ValueError, match="no code: c"):
        moments(spec, views=["c"])
    with pytest.raises(KeyError, match="views: a, b, c"):
        moments(spec, views=["d"])
    with pytest.raises(ValueError, match="no view has a code"):
        moments(spec_of(c=[]))


def test_sizes_take_turns() -> None:
    blur = {"op": "gaussian_blur", "kernel": 3, "sigma": [0.5, 1.5]}
    spec = spec_of(blur, size=None)
    both = moments(spec, sizes=[(20, 40), (10, 10), (10, 10)])
    one, other = (moments(spec, sizes=[size]) for size in ((20, 40), (10, 10)))
    assert both.mean.item() == pytest.approx((one.mean + 2 * other.mean).item() / 3)
    square = (one.std**2 + one.mean**2 + 2 * (other.std**2 + other.mean**2)) / 3
    assert both.std.item() == pytest.approx((square - both.mean**2).sqrt().item())

    crop = spec_of({"op": "random_crop", "size": 8, "padding": 2}, {"op": "erase"}, size=None)
    found = moments(crop, sizes=[(16, 16), (12, 20)], draws=6000)
    one, other = (moments(crop, sizes=[size], draws=6000) for size in ((16, 16), (12, 20)))
    expected = (one.mean + other.mean) / 2
    assert ((found.mean - expected).abs() < 6 * (found.stderr + one.stderr) + 1e-9).all()


def test_draws_that_samples_share_are_drawn_anew() -> None:
    plain = {"op": "resized_crop", "size": 16}
    alone, pairs = (
        moments(spec_of({**plain, **share}), draws=4000)
        for share in ({}, {"share": {"samples": 8}})
    )
    # shared draws counted as eight would make the error almost three times too small
    assert (pairs.stderr / alone.stderr - 1).abs().max() < 0.1
    assert ((pairs.mean - alone.mean).abs() < 6 * alone.stderr).all()


def test_views_that_share_a_draw_count_once() -> None:
    crop = {"op": "resized_crop", "size": 16, "share": "views"}
    one = moments(spec_of(a=[crop], b=[crop]), views=["a"], draws=4000)
    two = moments(spec_of(a=[crop], b=[crop]), draws=4000)
    assert torch.allclose(one.stderr, two.stderr)
    assert torch.allclose(one.std_stderr, two.std_stderr, rtol=1e-3)


def test_standardized_codes_have_mean_zero_and_std_one(root: Path) -> None:
    spec = augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml")
    found = moments(spec, draws=20_000)
    codes = augspec.compile(spec, seed=5).draw(torch.arange(20_000), 0, (32, 32))["first"]
    z = found.standardize(codes)
    assert z.dtype == torch.float32
    assert z.mean(dim=0).abs().max() < 0.04
    assert (z.std(dim=0) - 1).abs().max() < 0.04
    constant = moments(spec_of({"op": "invert"}))
    assert constant.standardize(torch.ones(3, 1)).tolist() == [[0.0]] * 3


def test_as_plain_data_and_as_text() -> None:
    nan = torch.tensor([0.5, torch.nan]).double()
    exact = Known(nan, torch.diag(torch.tensor([0.25, torch.nan]).double()))
    generator = torch.Generator().manual_seed(0)

    def draw(ids: torch.Tensor) -> list[torch.Tensor]:
        return [torch.rand(len(ids), 2, generator=generator, dtype=torch.float64)]

    found = statistics(["v"], ["a", "b"], [exact], draw, 1000)
    first, second = found.document(covariance=True)
    assert first["mean"] == 0.5 and first["std"] == 0.5 and first["stderr"] == 0 and first["exact"]
    assert second["draws"] == 1000 and second["views"] == ["v"]
    assert second["stderr"] == pytest.approx(1 / 12**0.5 / 1000**0.5, rel=0.05)
    # the fourth moment of a uniform variable is 1/80
    assert second["std_stderr"] == pytest.approx(
        ((1 / 80 - 1 / 144) / 1000) ** 0.5 / 2 * 12**0.5, rel=0.1
    )
    assert first["covariance"] == [0.25, 0.0]
    lines = found.describe().splitlines()
    assert lines[0].startswith("views v: 2 columns; 1000 samples drawn")
    assert lines[2].split() == ["a", "0.5", "0.5", "exact"]
    assert json.dumps(found.document())
