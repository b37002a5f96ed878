"""Shared draws: between views, between samples, and through `like`."""

from __future__ import annotations

import torch
from torch import Tensor

import augspec
from augspec import Pipeline

TEXT = """
version: 1
name: t
views:
  first:
    ops:
      - {op: resized_crop, size: 16, area: [0.2, 1.0], SHARE}
      - {op: color_jitter, brightness: 0.4, hue: 0.1}
  second:
    ops:
      - {op: resized_crop, size: 16, area: [0.2, 1.0], SHARE}
      - {op: color_jitter, brightness: 0.4, hue: 0.1}
"""
IDS = torch.tensor([40, 7, 19, 2, 33, 8, 100, 51])


def pipeline(share: str) -> Pipeline:
    text = TEXT.replace(", SHARE", f", share: {share}" if share else "")
    return augspec.compile(augspec.loads(text), seed=5)


def codes(share: str, **options: Tensor) -> dict[str, Tensor]:
    return pipeline(share).draw(IDS, 3, (20, 20), **options)


def test_views_share_one_draw_and_the_other_ops_keep_theirs() -> None:
    own, shared = codes(""), codes("views")
    assert torch.equal(shared["first"][:, :4], shared["second"][:, :4])
    assert not torch.equal(own["first"][:, :4], own["second"][:, :4])
    for name in ("first", "second"):
        assert torch.equal(shared[name][:, 4:], own[name][:, 4:])
        assert (shared[name][:, :4] != own[name][:, :4]).any(dim=1).all()


def test_pairs_go_by_position_whatever_the_batch() -> None:
    positions = torch.arange(8)
    drawn = codes("pairs", positions=positions)
    for name in ("first", "second"):
        box = drawn[name][:, :4]
        assert torch.equal(box[0::2], box[1::2])
        assert len(box.unique(dim=0)) == 4
        assert len(drawn[name][:, 4:].unique(dim=0)) == 8
    assert not torch.equal(drawn["first"][:, :4], drawn["second"][:, :4])
    part = pipeline("pairs").draw(IDS[3:5], 3, (20, 20), positions[3:5])
    assert all(torch.equal(part[name], drawn[name][3:5]) for name in drawn)


def test_without_positions_neighbours_are_neighbouring_ids() -> None:
    box = pipeline("{samples: 4}").draw(torch.arange(12), 0, (20, 20))["first"][:, :4]
    assert torch.equal(box, box[::4].repeat_interleave(4, dim=0))
    assert len(box.unique(dim=0)) == 3


def test_samples_and_views_can_share_at_once() -> None:
    drawn = codes("{views: true, samples: 2}", positions=torch.arange(8))
    box = drawn["first"][:, :4]
    assert torch.equal(box, drawn["second"][:, :4])
    assert len(box.unique(dim=0)) == 4


def test_what_samples_share_is_none_of_their_own_draws() -> None:
    """Pair number k must not get what the sample with id k draws alone."""
    ids = torch.arange(64)
    alone = pipeline("").draw(ids, 3, (200, 200))["first"][:, :4]
    paired = pipeline("pairs").draw(2 * ids, 3, (200, 200))["first"][:, :4]
    assert (alone != paired).any(dim=1).all()


def test_a_combinator_shares_with_all_that_it_holds() -> None:
    text = """
version: 1
name: t
views:
  a: {ops: &ops [{op: one_of, share: views, ops: [
    {op: solarize, threshold: [0.1, 0.9]}, {op: color_jitter, brightness: 0.4, share: pairs}]}]}
  b: {ops: *ops}
"""
    drawn = augspec.compile(augspec.loads(text)).draw(torch.arange(40), 0, (8, 8))
    threshold, brightness = ([drawn[name][:, k] for name in "ab"] for k in (1, 2))
    assert torch.equal(*threshold)
    acts = (brightness[0] != 0) & (brightness[1] != 0)
    assert acts.any()
    # the jitter says otherwise: pairs of samples share, views do not
    assert (brightness[0][acts] != brightness[1][acts]).all()
    both = acts[0::2] & acts[1::2]
    assert torch.equal(brightness[0][0::2][both], brightness[0][1::2][both])


def test_the_same_crop_in_other_colours() -> None:
    text = TEXT.replace(", SHARE", "") + "  third: {like: first, redraw: [color_jitter]}\n"
    drawn = augspec.compile(augspec.loads(text), seed=5).draw(IDS, 3, (20, 20))
    assert torch.equal(drawn["third"][:, :4], drawn["first"][:, :4])
    assert (drawn["third"][:, 4:] != drawn["first"][:, 4:]).any(dim=1).all()
    before = codes("")
    assert all(torch.equal(drawn[name], before[name]) for name in before)


def test_a_derived_view_may_have_ops_of_its_own() -> None:
    text = (
        TEXT.replace(", SHARE", "")
        + """
  small:
    like: first
    size: 8
    ops:
      - {op: resized_crop, size: 8, area: [0.2, 1.0]}
      - {op: grayscale, p: 0.5}
"""
    )
    batch = augspec.compile(augspec.loads(text), seed=5)(torch.rand(8, 3, 20, 20), ids=IDS, epoch=3)
    assert batch.views["small"].shape == (8, 3, 8, 8)
    assert torch.equal(batch.codes["small"][:, :4], batch.codes["first"][:, :4])


def test_copies_of_a_view_draw_for_themselves() -> None:
    text = """{version: 1, name: t, views: {v: {count: 3, ops: [{op: resized_crop, size: 8}]}}}"""
    drawn = augspec.compile(augspec.loads(text)).draw(torch.arange(32), 0, (40, 40))
    assert list(drawn) == ["v_1", "v_2", "v_3"]
    for a, b in (("v_1", "v_2"), ("v_2", "v_3")):
        assert (drawn[a] != drawn[b]).any(dim=1).all()
