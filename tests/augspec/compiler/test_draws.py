"""Draws: images of different sizes, and equal ops of several views in one batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_specs import Case, cases, examples
from torch import Tensor

import augspec
from augspec.compiler.draws import draw_codes, draw_seeds, stacked
from augspec.compiler.plan import Plan, make_plan
from augspec.ops import OPS
from augspec.ops.contract import Op
from augspec.ops.sizes import Sizes, common, leaving

RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))
SIZES = torch.tensor(
    [[375, 500], [500, 375], [33, 90], [256, 256], [375, 500], [224, 1000], [1200, 230], [96, 96]]
)
"""Photographs: some alike, some of a shape that no box fits but the largest central one."""

IDS = torch.tensor([3, 2**40, 11, 0, 5, 8, 77, 1])
POSITIONS = torch.tensor([4, 5, 0, 1, 2, 3, 7, 6])

Drawn = tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]


def assert_equal(found: Drawn, expected: Drawn) -> None:
    assert list(found[0]) == list(expected[0])
    for name, code in expected[0].items():
        assert found[0][name].dtype == torch.float32
        assert torch.equal(found[0][name], code), name
        assert list(found[1][name]) == list(expected[1][name])
        for key, value in expected[1][name].items():
            assert torch.equal(found[1][name][key], value), (name, key)


def assert_as_alone(plan: Plan, ids: Tensor, sizes: Tensor, positions: Tensor | None) -> None:
    """Each sample of a batch has what it has in a batch of itself, of its own size."""
    together = draw_codes(plan, 7, ids, 2, sizes, positions)
    assert_equal((together[0], draw_seeds(plan, 7, ids, 2, sizes, positions)), together)
    for row, (height, width) in enumerate(sizes.tolist()):
        one = slice(row, row + 1)
        place = None if positions is None else positions[one]
        alone = draw_codes(plan, 7, ids[one], 2, (height, width), place)
        codes = {name: code[one] for name, code in together[0].items()}
        seeds = {name: {k: v[one] for k, v in own.items()} for name, own in together[1].items()}
        assert_equal((codes, seeds), alone)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_images_of_different_sizes_are_drawn_as_alone(recipe: Path) -> None:
    assert_as_alone(make_plan(augspec.load(recipe)), IDS, SIZES, POSITIONS)


@examples(40)
@given(
    case=cases(),
    more=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=5),
)
def test_random_specs_are_drawn_as_alone(case: Case, more: list[tuple[int, int]]) -> None:
    sizes = torch.tensor(more) + torch.tensor(case.size)
    assert_as_alone(make_plan(case.spec), torch.arange(len(sizes)) + 5, sizes, None)


@pytest.mark.parametrize("tag", sorted(OPS))
def test_every_op_draws_for_sizes_of_each_sample(tag: str) -> None:
    for fields in ({}, *OPS[tag].examples):
        op: Op = OPS[tag].model_validate({"op": tag, **fields})
        generator = torch.Generator().manual_seed(1)
        u = [
            torch.rand(len(SIZES), s.count, generator=generator, dtype=torch.float64)
            for s in op.streams()
        ]
        drawn = op.draw(u, SIZES)
        for row, (height, width) in enumerate(SIZES.tolist()):
            alone = op.draw([x[row : row + 1] for x in u], (height, width))
            assert list(drawn) == list(alone)
            for name, value in alone.items():
                assert torch.equal(drawn[name][row : row + 1], value), (fields, name)


def test_the_largest_central_box_where_none_fits() -> None:
    """Wider or taller than the aspect allows: torchvision's fallback, by its own formula."""
    op = OPS["resized_crop"].model_validate({"area": 1.0, "aspect": [0.75, 1.25]})
    sizes = torch.tensor([[100, 301], [301, 100], [90, 100], [1, 50]])
    (stream,) = op.streams()
    box = op.draw([torch.full((4, stream.count), 0.5, dtype=torch.float64)], sizes)
    height, width = box["height"] * sizes[:, 0], box["width"] * sizes[:, 1]
    expected = torch.tensor([[100, 125], [133, 100], [90, 100], [1, 1]]).double()
    torch.testing.assert_close(torch.stack([height, width], dim=-1), expected)


def test_sizes_after_each_op() -> None:
    sizes = torch.tensor([[40, 60], [60, 40], [40, 60]])

    def after(tag: str, at: Sizes = sizes, **fields: object) -> Sizes:
        return leaving(OPS[tag].model_validate({"op": tag, **fields}), at)

    assert torch.equal(after("resize", size=20), torch.tensor([[20, 30], [30, 20], [20, 30]]))
    assert after("resize", size=[20, 30]) == (20, 30)
    assert after("resize", torch.tensor([[40, 60], [80, 120]]), size=20) == (20, 30)
    assert torch.equal(after("pad", padding=[1, 2, 3, 4]), sizes + torch.tensor([6, 4]))
    assert after("horizontal_flip") is sizes
    assert after("center_crop", size=8) == (8, 8)
    assert common(sizes[::2]) == (40, 60)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_views_drawn_together_are_drawn_as_alone(recipe: Path) -> None:
    plan = make_plan(augspec.load(recipe))
    for size in ((64, 48), SIZES):
        together = draw_codes(plan, 7, IDS, 2, size, POSITIONS)
        for view in plan.views:
            alone = draw_codes(replace(plan, views=(view,)), 7, IDS, 2, size, POSITIONS)
            assert_equal(tuple({view.name: own[view.name]} for own in together), alone)  # type: ignore[arg-type]


@examples(40)
@given(case=cases())
def test_random_views_drawn_together_are_drawn_as_alone(case: Case) -> None:
    plan = make_plan(case.spec)
    together = draw_codes(plan, 7, IDS, 2, case.size)
    for view in plan.views:
        alone = draw_codes(replace(plan, views=(view,)), 7, IDS, 2, case.size)
        assert_equal(tuple({view.name: own[view.name]} for own in together), alone)  # type: ignore[arg-type]


def test_which_ops_are_drawn_together(root: Path) -> None:
    def found(name: str) -> dict[str, list[tuple[int, int]]]:
        plan = make_plan(augspec.load(root / "specs" / "augmentations" / f"{name}.yaml"))
        stacks: dict[str, list[tuple[int, int]]] = {}
        for stack in stacked(plan.views):
            counts = len(stack.steps), len(stack.streams)
            stacks.setdefault(stack.op.tag(), []).append(counts)
        return stacks

    tags = ("resized_crop", "horizontal_flip", "color_jitter", "grayscale", "gaussian_blur")
    assert found("simclr-imagenet") == {tag: [(2, 2)] for tag in tags}
    # `p` differs between the views for the blur, and the size for what comes after a local crop
    dino = found("dino-imagenet")
    assert dino["resized_crop"] == [(2, 2), (8, 8)]
    assert dino["gaussian_blur"] == [(1, 1), (1, 1), (8, 8)]
    # four views of one draw, which is drawn once
    assert found("essl-imagenet")["sequence"] == [(4, 1)]


def test_equal_ops_on_images_of_unequal_size_are_not_drawn_together() -> None:
    text = """
    version: 1
    name: t
    views:
      first: {ops: [{op: resize, size: [20, 24]}, {op: gaussian_blur, kernel: 3}]}
      second: {ops: [{op: resize, size: [40, 48]}, {op: gaussian_blur, kernel: 3}], size: [40, 48]}
      third: {ops: [{op: pad, padding: 2}, {op: gaussian_blur, kernel: 3}]}
      fourth: {ops: [{op: pad, padding: 2}, {op: gaussian_blur, kernel: 3}]}
    """
    plan = make_plan(augspec.loads(text))
    assert [len(stack.steps) for stack in stacked(plan.views)] == [1, 1, 2]


def test_codes_of_views_share_no_memory(root: Path) -> None:
    plan = make_plan(augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml"))
    codes = draw_codes(plan, 0, IDS, 0, (32, 32))[0]
    kept = codes["second"].clone()
    codes["first"].zero_()
    assert torch.equal(codes["second"], kept)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_of_no_samples_nothing_is_drawn(recipe: Path) -> None:
    plan = make_plan(augspec.load(recipe))
    for size in ((64, 48), SIZES[:0]):
        codes, _ = draw_codes(plan, 0, IDS[:0], 0, size)
        assert {n: c.shape for n, c in codes.items()} == {
            view.name: (0, view.layout.width) for view in plan.views
        }


def test_wrong_sizes_are_named(root: Path) -> None:
    plan = make_plan(augspec.load(root / "specs" / "augmentations" / "simclr-cifar10.yaml"))
    with pytest.raises(ValueError, match=r"sizes must be \(8, 2\) int64 on the CPU, got \(7, 2\)"):
        draw_codes(plan, 0, IDS, 0, SIZES[1:])
    with pytest.raises(ValueError, match=r"int64 on the CPU, got \(8, 2\) torch\.float32"):
        draw_codes(plan, 0, IDS, 0, SIZES.float())
    with pytest.raises(ValueError, match=r"positions must be \(8,\) integers, got \(2,\)"):
        draw_codes(plan, 0, IDS, 0, SIZES, POSITIONS[:2])
