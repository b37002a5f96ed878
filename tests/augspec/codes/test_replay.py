"""Rendering saved batches again: what is compared with what, and what reference views are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec.codes.record import draw_batch, rendered
from augspec.codes.reference import (
    LEVELS,
    digest,
    normalized,
    reference_pixels,
    rounded,
    sample_params,
)
from augspec.codes.replay import by_digest, replay
from augspec.codes.saved import ExchangeError, SavedBatch
from augspec.preview.pictures import to_tensor
from augspec.preview.scene import scene

TEXT = """
version: 1
name: t
normalize: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}
views:
  original: {}
  first:
    ops:
      - {op: resized_crop, size: 16, area: [0.2, 1.0], interpolation: bicubic}
      - {op: gaussian_noise, sigma: 0.1}
      - op: random_order
        ops: [{op: color_jitter, brightness: 0.4, hue: 0.1}, {op: gaussian_blur, kernel: 3}]
      - {op: mix, ops: [{op: gamma, gamma: [0.5, 2]}, {op: posterize, bits: 6}]}
      - {op: repeat, times: 2, ops: [{op: one_of, ops: [{op: rotate}, {op: invert, p: 0.5}]}]}
"""
SPEC = augspec.loads(TEXT)


def pictures() -> list[Tensor]:
    return [to_tensor(scene(*size), 3)[0] for size in ((24, 20), (30, 30), (24, 20))]


@pytest.fixture(scope="module")
def saved() -> SavedBatch:
    drawn = draw_batch(SPEC, pictures(), seed=5, epoch=1, names=("a", "b", "c"))
    return rendered(drawn, pictures(), keep_images=True, keep_views=True)


def test_a_replay_is_bit_equal(saved: SavedBatch) -> None:
    found = list(replay(saved))
    assert [(one.sample, one.view) for one in found] == [
        (k, view) for k in range(3) for view in ("original", "first")
    ]
    assert all(one.equal and one.difference == 0.0 for one in found)
    for one in found:
        assert torch.equal(one.values, (saved.views or {})[one.view][one.sample])
        assert torch.equal(one.values, normalized(one.pixels, SPEC.normalize))
    without = replace(saved, images=None, views=None)
    assert all(one.equal for one in replay(without, pictures()))
    silent = replace(saved, view_digests={})
    assert all(one.equal is None and one.difference is None for one in replay(silent))


def test_a_difference_is_found_and_measured(saved: SavedBatch) -> None:
    code = saved.codes["first"].clone()
    column = saved.layouts["first"].column_names.index("gaussian_noise.sigma")
    code[1, column] += 1e-3
    other = replace(saved, codes={**saved.codes, "first": code})
    found = {(one.sample, one.view): one for one in replay(other)}
    off = found.pop((1, "first"))
    assert all(one.equal for one in found.values())
    assert off.equal is False
    recorded = (saved.views or {})["first"][1].double()
    assert off.difference == float((off.values.double() - recorded).abs().max()) > 0
    (unknown,) = [one for one in replay(replace(other, views=None)) if not one.equal]
    assert unknown.difference is None
    seeds = {k: s + 1 for k, s in saved.seeds["first"].items()}
    noisy = replace(saved, seeds={**saved.seeds, "first": seeds})
    assert [one.sample for one in replay(noisy) if not one.equal] == [0, 1, 2]


def test_other_images_are_refused(saved: SavedBatch) -> None:
    x = pictures()
    bare = replace(saved, images=None)
    with pytest.raises(ExchangeError, match="holds no images"):
        list(replay(bare))
    with pytest.raises(ExchangeError, match="2 images for 3 samples"):
        list(replay(bare, x[:2]))
    with pytest.raises(ExchangeError, match=r"image 1 should be \(C, 30, 30\) uint8, got \(3, 24"):
        list(replay(bare, [x[0], x[0], x[2]]))
    touched = x[2].clone()
    touched[0, 0, 0] ^= 1
    with pytest.raises(ExchangeError, match="image 2 is not the one recorded as 'c'"):
        list(replay(bare, [x[0], x[1], touched]))
    found = by_digest(bare, {digest(image): image for image in reversed(x)})
    assert all(torch.equal(a, b) for a, b in zip(found, x, strict=True))
    with pytest.raises(ExchangeError, match="to the last pixel: b"):
        by_digest(bare, {digest(x[0]): x[0]})


def test_a_spec_of_other_views_is_refused(saved: SavedBatch) -> None:
    text = TEXT.replace("bicubic", "bilinear")
    assert replace(saved, spec=augspec.loads(text)).pipeline().plan.hash != saved.plan
    less = TEXT.replace(", {op: invert, p: 0.5}", "")
    with pytest.raises(augspec.LayoutMismatchError, match=r"invert"):
        replace(saved, spec=augspec.loads(less)).pipeline()
    with pytest.raises(ExchangeError, match="views original, first; the spec has original, one"):
        replace(saved, spec=augspec.loads(TEXT.replace("first:", "one:"))).pipeline()


# --- reference views ---------------------------------------------------------------------------


@given(st.lists(st.floats(-2, 2, width=64), min_size=1, max_size=50))
def test_rounding(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    found = rounded(x)
    assert ((found - x).abs() * LEVELS <= 0.6181).all()
    assert torch.equal(rounded(found), found)
    level = found * LEVELS
    assert ((level - level.round()).abs() < 1e-9).all()


def test_levels_and_fractions_of_them_do_not_hang_by_a_thread() -> None:
    level = torch.arange(256, dtype=torch.float64) / 255
    assert torch.equal(rounded(level), level)
    # means of a few levels, or of many by weights that are fractions of powers of two
    for parts in (*range(1, 100), 512, 1024, 1536, 2560, 4096):
        x = torch.arange(255 * parts + 1, dtype=torch.float64) / (255 * parts)
        wrong = 1e-13 * torch.linspace(-1, 1, len(x), dtype=torch.float64)
        assert torch.equal(rounded(x), rounded(x + wrong))


def test_reference_views_are_what_the_pipeline_shows(photos: list[Path]) -> None:
    """To the rounding after each op: here, five ops that let little of it grow."""
    from torchvision.io import ImageReadMode, decode_image

    pipeline = augspec.compile(SPEC, seed=2)
    far = []
    for k, path in enumerate(photos[:8]):
        x = decode_image(str(path), mode=ImageReadMode.RGB)[:, :96, :80]
        batch = pipeline(x[None].double() / 255, ids=torch.tensor([k]), epoch=0)
        found = reference_pixels(pipeline.plan, x, sample_params(batch.params, 0))
        assert torch.equal(found["original"], x.double() / 255)
        view = normalized(found["first"], SPEC.normalize)
        assert view.dtype == torch.float32
        far.append((view - batch.views["first"][0]).abs())
    apart = torch.stack(far).flatten()
    # a few pixels of a posterized image that is mixed in are a level off
    assert (apart < 5e-4).double().mean() > 0.999


def test_digests_tell_shapes_and_types_apart() -> None:
    x = torch.zeros(2, 3)
    assert digest(x) == digest(x.clone())
    others = [x.reshape(3, 2), x.double(), x.int(), x - torch.tensor([0.0, 0.0, 1e-45])]
    assert len({digest(other) for other in [x, *others]}) == 5
    assert digest(x.T.contiguous().T) == digest(x)
