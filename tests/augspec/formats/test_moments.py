"""Moments of formats: what follows from the terms, against hand-made numbers and against draws."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from released_draws import BLUR, CROP, FLIP, GRAY, JITTER, QUARTERS, SOLARIZE, pipeline_of
from torch import Tensor

import augspec
from augspec import Spec
from augspec.formats import FormatError, encode_as, format_columns
from augspec.formats.augself import AugSelf
from augspec.formats.cassle import Cassle
from augspec.formats.contract import Format
from augspec.formats.difference import Difference
from augspec.formats.exact import known
from augspec.formats.moments import format_moments
from augspec.formats.registry import named

ALL = [CROP, FLIP, JITTER, GRAY, BLUR, SOLARIZE]
SIZE = (24, 32)
PLAIN_CASSLE = Cassle(("blur", "color", "crop", "flip", "grayscale"))


def spec_of(**views: list[dict]) -> Spec:
    document = {"version": 1, "name": "made", "views": {n: {"ops": o} for n, o in views.items()}}
    return augspec.loads(json.dumps(document))


def drawn(form: str | Format, pipeline: augspec.Pipeline, count: int) -> Tensor:
    """Vectors of the first group, of draws that the moments do not use."""
    params = pipeline.decode(pipeline.draw(torch.arange(count), 3, SIZE))
    found = encode_as(form, pipeline, params, SIZE, dtype=torch.float64)
    return next(iter(found.values()))


@pytest.mark.parametrize(
    "form",
    ["equimod", "augself", AugSelf(mirror="own"), PLAIN_CASSLE, Difference(normalize=False)],
    ids=["equimod", "augself", "augself-own", "cassle", "difference"],
)
def test_what_is_known_is_what_is_drawn(form: str | Format) -> None:
    ops = [*ALL, QUARTERS] if named(form).name in ("augself", "cassle") else ALL
    ops = [{**op, "size": 24} if op is CROP else op for op in ops]
    other = [{**op, "p": 0.8} if op in (FLIP, JITTER, BLUR) else op for op in ops]
    pipeline = pipeline_of(first=ops, second=other)
    views = [pipeline.plan.view(n) for n in ("first", "second")][: 1 + (named(form).kind != "view")]
    columns = format_columns(form, pipeline.plan, *(view.name for view in views))
    exact = known(columns, views, SIZE)
    count = 5_000
    x = drawn(form, pipeline, count)
    x = x - (mean := x.mean(dim=0))
    products = x[:, :, None] * x[:, None, :]
    found = exact.mean.isfinite()
    error = x.std(dim=0) / math.sqrt(count)
    assert ((mean - exact.mean).abs() <= 5 * error + 1e-9)[found].all()
    covariance = products.mean(dim=0)
    error = products.std(dim=0) / math.sqrt(count)
    pairs = exact.covariance.isfinite()
    assert ((covariance - exact.covariance).abs() <= 5 * error + 1e-9)[pairs].all()
    # nothing is left open but the box and the turn; and no op has to do with another
    open_ = {c.name for c, known_ in zip(columns, found.tolist(), strict=True) if not known_}
    boxes = {"top", "left", "height", "width"}
    assert all("crop." in n or n in boxes or n == "rot" for n in open_)
    names = [column.name for column in columns]
    if "brightness" in names:
        assert exact.covariance[names.index("top"), names.index("brightness")] == 0


def test_by_hand(root: Path) -> None:
    """The closed forms of BYOL's two views, pooled as EquiMod pools them."""
    spec = augspec.load(root / "specs" / "augmentations" / "byol-cifar10.yaml")
    found = format_moments(spec, "equimod", draws=2**10)
    assert found.views == ("first", "second")
    table = {row["name"]: row for row in found.document()}
    sigma_square = 0.55 * (2.0**3 - 0.1**3) / 3 / 1.9
    expected = {
        "flip": (0.5, 0.5),
        "jitter": (0.8, 0.4),
        "op_1": (0.8 * 1.5, math.sqrt(0.8 * 3.5 - 1.2**2)),
        "op_4": (0.2 * 3 + 0.8 * 1.5, math.sqrt(0.2 * 9 + 0.8 * 3.5 - 1.8**2)),
        "brightness": (1.0, math.sqrt(0.8 * 0.8**2 / 12)),
        "saturation": (1.0, math.sqrt(0.8 * 0.4**2 / 12)),
        "hue": (0.0, math.sqrt(0.8 * 0.2**2 / 12)),
        "grayscale": (0.2, 0.4),
        "blur": (0.55, math.sqrt(0.55 * 0.45)),
        "sigma": (0.55 * 1.05, math.sqrt(sigma_square - (0.55 * 1.05) ** 2)),
        "solarize": (0.1, 0.3),
    }
    for name, (mean, std) in expected.items():
        assert table[name]["exact"] and table[name]["stderr"] == 0
        assert table[name]["mean"] == pytest.approx(mean, abs=1e-9), name
        assert table[name]["std"] == pytest.approx(std, abs=1e-9), name
    assert not table["top"]["exact"] and table["top"]["stderr"] > 0


def test_a_draw_agrees_with_another_within_its_standard_error() -> None:
    spec = spec_of(first=ALL, second=ALL)
    one = format_moments(spec, "difference", sizes=[SIZE], draws=2**11)
    pipeline = pipeline_of(first=ALL, second=ALL)
    other = drawn("difference", pipeline, 2**12).mean(dim=0)
    assert ((one.mean - other).abs() < 5 * one.stderr).all() and one.stderr.max() < 0.05


def test_draws_that_views_share_are_not_taken_for_independent() -> None:
    shared = [CROP, {**FLIP, "share": "views"}, JITTER]
    spec = spec_of(a=shared, b=shared)
    found = format_moments(spec, "augself", sizes=[SIZE], draws=2**9)
    flip = found.names.index("flip")
    assert not found.exact[flip] and found.mean[flip] == 1 and found.std[flip] == 0
    jitter = found.names.index("color.hue")
    assert found.exact[jitter]


def test_pixels_need_images() -> None:
    spec = spec_of(first=[CROP, FLIP, JITTER])
    without = format_moments(spec, "cassle", sizes=[SIZE], draws=2**8)
    pixels = [name.startswith("color_diff") for name in without.names]
    assert sum(pixels) == 3 and torch.equal(without.mean.isnan(), torch.tensor(pixels))
    images = torch.rand(4, 3, *SIZE)
    given = format_moments(spec, "cassle", images=images, draws=2**8)
    assert given.mean.isfinite().all() and (given.std[pixels] > 1e-3).all()


def test_sizes_count_as_often_as_they_are_given() -> None:
    spec = spec_of(first=[{**CROP, "area": 1.0, "aspect": 1.0}, FLIP, JITTER, GRAY])
    found = format_moments(spec, "equimod", sizes=[(20, 20), (20, 20), (50, 50)], draws=300)
    height = found.names.index("height")
    assert found.mean[height] == pytest.approx(30) and found.std[height] == pytest.approx(200**0.5)


def test_vectors_that_cannot_be_pooled() -> None:
    spec = spec_of(first=[CROP, FLIP, JITTER, GRAY], second=[CROP, FLIP, JITTER, GRAY, BLUR])
    with pytest.raises(FormatError, match="gives first and second different columns"):
        format_moments(spec, "equimod", sizes=[SIZE])
    found = format_moments(spec, "equimod", views=["second"], sizes=[SIZE], draws=2**8)
    assert len(found.names) == 17
    with pytest.raises(ValueError, match="depend on the size of the images"):
        format_moments(spec, "equimod", views=["second"])
