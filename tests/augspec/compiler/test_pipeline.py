"""The pipeline: determinism, replay through codes, gradients, input types."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import augspec
from augspec import Pipeline

TEXT = """
version: 1
name: t
normalize: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}
views:
  original: {ops: []}
  first:
    ops:
      - {op: resized_crop, size: 16, area: [0.2, 1.0], interpolation: bicubic}
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
      - {op: grayscale, p: 0.2}
      - {op: gaussian_blur, p: 0.5, kernel: 3}
      - {op: solarize, p: 0.2, threshold: 0.5019607843137255}
"""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return augspec.compile(augspec.loads(TEXT), seed=7)


def images(batch: int = 16, dtype: torch.dtype = torch.uint8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    raw = torch.randint(0, 256, (batch, 3, 24, 20), generator=generator, dtype=torch.uint8)
    return raw if dtype == torch.uint8 else raw.to(dtype) / 255


def test_what_comes_out(pipeline: Pipeline) -> None:
    batch = pipeline(images(), ids=torch.arange(16), epoch=3)
    assert batch.views["first"].shape == (16, 3, 16, 16)
    assert batch.views["first"].dtype == batch.codes["first"].dtype == torch.float32
    assert batch.codes["first"].shape == (16, pipeline.layouts["first"].width)
    assert batch.codes["original"].shape == (16, 0)
    assert set(batch.params["first"]) == {slot.name for slot in pipeline.layouts["first"].slots}
    restored = batch.views["original"] * pipeline.std + pipeline.mean
    torch.testing.assert_close(restored, images().float() / 255, rtol=0, atol=1e-6)
    assert batch.codes["first"].std(dim=0).gt(0).sum() > 10  # samples differ
    assert "first (20 columns): resized_crop -> horizontal_flip" in repr(pipeline)


def test_replay_is_bit_equal(pipeline: Pipeline) -> None:
    x = images()
    batch = pipeline(x, ids=torch.arange(16), epoch=3)
    for params in (batch.params, pipeline.decode(batch.codes)):
        again = pipeline.apply(x, params)
        assert all(torch.equal(again[name], view) for name, view in batch.views.items())
    codes = pipeline.encode(batch.params)
    assert all(torch.equal(codes[name], code) for name, code in batch.codes.items())
    flipped = pipeline.decode({"first": batch.codes["first"].flip(0)})
    assert not torch.equal(pipeline.apply(x, flipped)["first"], batch.views["first"])


@given(order=st.permutations(range(12)), cut=st.integers(1, 11), epoch=st.integers(0, 2**32 - 1))
def test_a_draw_depends_on_the_sample_alone(order: list[int], cut: int, epoch: int) -> None:
    pipeline = augspec.compile(augspec.loads(TEXT), seed=3)
    x, ids = images(12), torch.arange(12) + 2**31
    whole = pipeline(x, ids=ids, epoch=epoch)
    for part in (order[:cut], order[cut:]):
        own = pipeline(x[part], ids=ids[part], epoch=epoch)
        assert torch.equal(own.codes["first"], whole.codes["first"][part])
        torch.testing.assert_close(
            own.views["first"], whole.views["first"][part], rtol=0, atol=1e-5
        )


def test_seed_and_epoch_change_every_draw() -> None:
    spec, ids = augspec.loads(TEXT), torch.arange(64)
    drawn = [
        augspec.compile(spec, seed=seed).draw(ids, epoch, (24, 20))["first"]
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    crop = drawn[0][:, :4]
    for other in drawn[1:]:
        assert (other[:, :4] != crop).any(dim=1).double().mean() > 0.95


def test_inserting_an_op_leaves_the_other_draws_alone(pipeline: Pipeline) -> None:
    more = TEXT.replace(
        "      - {op: grayscale, p: 0.2}",
        "      - {op: gaussian_blur, id: early, kernel: 3}\n      - {op: grayscale, p: 0.2}",
    )
    other = augspec.compile(augspec.loads(more), seed=7)
    ids = torch.arange(64)
    a, b = (p.decode(p.draw(ids, 0, (24, 20)))["first"] for p in (pipeline, other))
    assert set(b) - set(a) == {"early.sigma"}
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_draws_stay_what_they_were() -> None:
    """Published numbers rest on these: a change here changes every run of every user."""
    spec = augspec.loads(TEXT)
    codes = augspec.compile(spec, seed=0).draw(torch.tensor([0, 1, 12345]), 2, (32, 32))["first"]
    box, flip, factors, hue, order, rest = codes.split([4, 1, 3, 2, 6, 4], dim=1)
    golden = {
        "box": [
            [0.0, 0.09375, -0.470004, -0.693147],
            [0.03125, 0.046875, -0.064539, -0.09844],
            [-0.078125, -0.03125, -0.169899, -0.064539],
        ],
        "flip": [[0.0], [1.0], [0.0]],
        "factors": [[0.179951, -0.052571, -0.160106], [-0.012337, 0.308487, 0.006211], [0.0] * 3],
        "hue": [[0.30463, 0.047529], [-0.448424, 0.106179], [0.0, 0.0]],
        "order": [[1, -1, -1, -1, -1, -1], [-1, -1, -1, -1, 1, 1], [0] * 6],
        "rest": [[0.0] * 4, [0.0, 0.0, 1.0, 0.501961], [0.0, 0.026843, 0.0, 0.0]],
    }
    drawn = {"box": box, "flip": flip, "factors": factors, "hue": hue, "order": order, "rest": rest}
    for name, expected in golden.items():
        torch.testing.assert_close(drawn[name], torch.tensor(expected).float(), rtol=0, atol=1e-6)


def test_uint8_and_float_images_give_the_same_views(pipeline: Pipeline) -> None:
    ids = torch.arange(16)
    a = pipeline(images(), ids=ids, epoch=0).views["first"]
    b = pipeline(images(dtype=torch.float32), ids=ids, epoch=0).views["first"]
    c = pipeline(images(dtype=torch.float64), ids=ids, epoch=0).views["first"]
    assert torch.equal(a, b)
    assert c.dtype == torch.float64
    apart = (c - a).abs().flatten(1).amax(1)
    # a pixel at the threshold may be inverted in one precision only
    assert (apart < 1e-4).double().mean() > 0.7


def test_gradients_reach_images_and_codes(pipeline: Pipeline) -> None:
    x = images(dtype=torch.float32).requires_grad_()
    codes = pipeline.draw(torch.arange(16), 0, (24, 20))
    codes["first"].requires_grad_()
    view = pipeline.apply(x, pipeline.decode(codes))["first"]
    view.square().sum().backward()
    assert torch.isfinite(x.grad).all() and (x.grad != 0).any()
    reached = (codes["first"].grad != 0).any(dim=0)
    assert torch.isfinite(codes["first"].grad).all()
    for slot in pipeline.layouts["first"].slots:
        assert reached[slot.slice].any() == slot.differentiable, slot.name


def test_inside_another_module(pipeline: Pipeline) -> None:
    parent = nn.ModuleList([augspec.compile(augspec.loads(TEXT)), nn.Linear(1, 1)])
    visited: list[nn.Module] = []
    parent.apply(visited.append)
    assert len(visited) == 3
    assert not parent[0].state_dict()  # a spec, not weights, is the record of a pipeline


def test_wrong_input_is_named(pipeline: Pipeline) -> None:
    with pytest.raises(ValueError, match="images must have 3 channels, as the spec says, got 1"):
        pipeline(torch.rand(2, 1, 8, 8), ids=torch.arange(2), epoch=0)
    with pytest.raises(ValueError, match=r"uint8 or floating point, got torch\.int64"):
        pipeline(torch.zeros(2, 3, 8, 8, dtype=torch.int64), ids=torch.arange(2), epoch=0)
    with pytest.raises(ValueError, match=r"codes of view 'first' must be \(B, 20\)"):
        pipeline.decode({"first": torch.zeros(2, 19)})
    with pytest.raises(KeyError, match="views: original, first"):
        pipeline.decode({"frist": torch.zeros(2, 20)})
    with pytest.raises(ValueError, match="ids"):
        pipeline(images(2), ids=torch.rand(2), epoch=0)


@pytest.mark.gpu
def test_gpu_and_cpu_agree(pipeline: Pipeline) -> None:
    x, ids = images(256), torch.arange(256)
    here = pipeline(x, ids=ids, epoch=5)
    there = augspec.compile(augspec.loads(TEXT), seed=7).cuda()(x.cuda(), ids=ids, epoch=5)
    assert torch.equal(there.codes["first"].cpu(), here.codes["first"])
    apart = (there.views["first"].cpu() - here.views["first"]).abs().flatten(1).amax(1)
    assert (apart < 1e-3).double().mean() > 0.98
