"""Geometric runs: which ops they hold, that their matrices are exact, and what pixels say of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_specs import Case, Kind, cases
from torch import Tensor

import augspec
from augspec import Pipeline
from augspec.codes.action import scene
from augspec.compiler.geometry import (
    bending,
    geometric_ops,
    geometry,
    mapped,
    moves,
    runs,
    straight,
    view_matrix,
)
from augspec.kernels.group import compose, identity
from augspec.kernels.warp import warp
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op
from augspec.ops.geometry import GeometricOp

B = 6
SIZE = (40, 40)
Document = dict[str, Any]
FLIP: Document = {"op": "horizontal_flip", "p": 0.5}
TURN: Document = {"op": "rotate", "degrees": [-40, 40], "p": 0.8}
CROP: Document = {"op": "resized_crop", "size": [32, 36], "area": [0.3, 0.9]}
JITTER: Document = {"op": "color_jitter", "brightness": 0.4, "hue": 0.1}
ELASTIC: Document = {"op": "elastic", "p": 0.5, "alpha": 8.0, "sigma": 3.0}


def compiled(*ops: Document, **views: list[Document]) -> Pipeline:
    document = {"version": 1, "name": "t", "views": {"v": {"ops": list(ops)}}}
    document["views"] |= {name: {"ops": own} for name, own in views.items()}
    return augspec.compile(augspec.loads(json.dumps(document)), seed=3)


def drawn(pipeline: Pipeline, size: tuple[int, int] = SIZE, n: int = B) -> dict[str, Tensor]:
    ids = torch.arange(n)
    codes, seeds = pipeline.draw(ids, 0, size), pipeline.seeds(ids, 0, size)
    return pipeline.decode(codes, seeds)["v"]


def smooth(size: tuple[int, int], batch: int = B) -> Tensor:
    """Images of slow waves, which resampling hardly changes, and no symmetry that hides a flip."""
    y = torch.linspace(0, 3, size[0])[:, None]
    x = torch.linspace(0, 4, size[1])[None]
    phase = torch.linspace(0, 1, batch)[:, None, None]
    waves = [(y + x + phase).sin(), (y - 1.3 * x + phase).cos(), (0.7 * x - phase).sin() + 0 * y]
    return 0.5 + 0.3 * torch.stack(waves, dim=1)


def names(*ops: Document, size: tuple[int, int] | None = None) -> list[tuple[str, ...]]:
    return [run.ops for run in runs(compiled(*ops).plan.view("v"), size)]


def test_runs_are_maximal_and_take_ordered_combinators_apart() -> None:
    assert names() == []
    assert names(JITTER) == []
    assert names(CROP, FLIP, JITTER, TURN) == [("resized_crop", "horizontal_flip"), ("rotate",)]
    inside = {"op": "sequence", "id": "s", "ops": [CROP, JITTER, FLIP]}
    assert names(inside, TURN) == [("s.resized_crop",), ("s.horizontal_flip", "rotate")]
    choice = {"op": "one_of", "ops": [TURN, {"op": "sequence", "ops": []}, FLIP]}
    assert names(FLIP, {"op": "maybe", "ops": [choice]}) == [
        ("horizontal_flip", "maybe.one_of.rotate", "maybe.one_of.horizontal_flip")
    ]
    twice = {"op": "repeat", "times": [1, 2], "ops": [FLIP, TURN]}
    assert names(twice) == [
        tuple(f"repeat.{k}.{op}" for k in (1, 2) for op in ("horizontal_flip", "rotate"))
    ]
    assert names({"op": "some_of", "n": 1, "ops": [FLIP, JITTER, TURN]}) == [
        ("some_of.horizontal_flip",),
        ("some_of.rotate",),
    ]


def test_a_random_order_stays_together_and_counts_if_all_of_it_is_geometric() -> None:
    order = {"op": "random_order", "ops": [FLIP, TURN]}
    assert names(CROP, order) == [("resized_crop", "random_order")]
    mixed = {"op": "random_order", "ops": [FLIP, JITTER]}
    assert names(CROP, mixed, TURN) == [("resized_crop",), ("rotate",)]
    assert names({"op": "mix", "ops": [FLIP]}, ELASTIC, FLIP) == [("horizontal_flip",)]


def test_sizes_are_known_as_far_as_they_can_be() -> None:
    view = compiled(TURN, CROP, JITTER, FLIP).plan.view("v")
    first, second = runs(view)
    assert (first.before, first.after) == (None, (32, 36))
    assert (second.before, second.after) == ((32, 36), (32, 36))
    assert (first.first, first.last) == ("rotate", "resized_crop")
    assert runs(view, (50, 60))[0].before == (50, 60)


def every(kind: type[Op]) -> list[Op]:
    """Each op of a kind by default, and as its file's examples have it."""
    found = []
    for tag, cls in OPS.items():
        if issubclass(cls, kind):
            found += [cls()]
            found += [loads_model(cls, json.dumps({"op": tag, **e})) for e in cls.examples]
    return found


def label(op: Op) -> str:
    return json.dumps(op.model_dump(mode="json", exclude_defaults=True))


GEOMETRIC: list[GeometricOp] = every(GeometricOp)  # type: ignore[assignment, type-abstract]


def uniforms(op: Op, batch: int = B) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, stream.count) for stream in op.streams()]
    return [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("op", GEOMETRIC, ids=label)
def test_an_op_that_does_not_act_has_exactly_the_identity(op: GeometricOp) -> None:
    still = {p.name: torch.full((B,), p.identity, dtype=torch.float64) for p in op.parameters()}
    if op.output_size((24, 24)) == (24, 24) and op.parameters():
        ((matrix, size),) = op.moves(still, (24, 24), B)
        assert torch.equal(matrix, identity(matrix).expand(B, 3, 3))
        assert size == (24, 24)
    ((matrix, size),) = op.moves(op.draw(uniforms(op), (24, 24)), (24, 24), B)
    assert matrix.shape == (B, 3, 3)
    assert matrix.dtype == torch.float64
    assert size == op.output_size((24, 24))
    assert torch.equal(matrix[:, 2, 2], torch.ones(B, dtype=torch.float64))
    affine = torch.equal(matrix[:, 2], identity(matrix)[2].expand(B, 3))
    assert affine != op.projective
    assert op.geometric
    assert not op.bends


def test_quarter_turns_have_whole_entries_and_turn_as_they_are_rendered() -> None:
    op = OPS["rotate90"]()
    angle = torch.tensor([0.0, 0.25, 0.5, -0.25, 0.2, 0.4], dtype=torch.float64)
    assert isinstance(op, GeometricOp)
    matrix = op.matrix({"angle": angle}, SIZE)
    assert torch.equal(matrix, matrix.round())
    x = smooth(SIZE)
    moved = warp(x, matrix, interpolation="nearest", fill=0.0)
    assert torch.equal(moved, op.apply(x, {"angle": angle}))


def test_a_run_is_its_ops_one_after_the_other() -> None:
    pipeline = compiled(CROP, FLIP, {"op": "perspective", "distortion": 0.3}, JITTER, TURN)
    params = drawn(pipeline)
    plan = pipeline.plan.view("v")
    by_hand, size, inside = [], SIZE, []
    for step in plan.steps:
        own = {name: params[step.key(name)] for name in step.parameters}
        if isinstance(step.op, GeometricOp):
            inside.append(step.op.matrix(own, size, B))
        elif inside:
            by_hand.append(inside)
            inside = []
        size = step.op.output_size(size)
    by_hand.append(inside)
    elements = geometry(pipeline, params, SIZE, view="v")
    assert [e.run for e in elements] == list(runs(plan, SIZE))
    whole = identity(elements[0].matrix)
    for element, matrices in zip(elements, by_hand, strict=True):
        expected = identity(element.matrix)
        for matrix in matrices:
            expected = matrix @ expected
        expected = expected / expected[:, 2:, 2:]
        torch.testing.assert_close(element.matrix, expected, rtol=1e-12, atol=1e-12)
        whole = compose(element.matrix, whole)
    found = view_matrix(pipeline, params, SIZE, view="v")
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, view_matrix(pipeline.plan, params, SIZE, view="v"))


def test_equal_effects_have_equal_elements() -> None:
    """A shift by a whole side leaves nothing, whichever way: one form stands for all of it."""
    pipeline = compiled({"op": "translate", "x": [-1, 1], "y": [-1, 1]})
    x = torch.tensor([-1.0, 1.0, 0.2], dtype=torch.float64)
    params = {"translate.x": x, "translate.y": x.flip(0)}
    found = view_matrix(pipeline, params, SIZE, view="v")
    assert torch.equal(found[0], found[1])
    decoded = pipeline.decode(pipeline.encode({"v": params}, dtype=torch.float64))["v"]
    assert torch.equal(view_matrix(pipeline, decoded, SIZE, view="v"), found)


def test_an_op_inside_a_combinator_sees_the_size_that_reaches_it() -> None:
    """A turn of an image that is not square is no turn in normalised coordinates."""
    turn = {"op": "rotate", "degrees": 90}
    wide = {"op": "resize", "size": [20, 40]}
    pipeline = compiled({"op": "sequence", "ops": [wide, turn]}, turn)
    params = drawn(pipeline)
    # 20 rows of 40: to the right by a half side of 20 pixels becomes upwards by two of 10
    quarter = identity(params["rotate.angle"]).clone()
    quarter[:2, :2] = torch.tensor([[0.0, 0.5], [-2.0, 0.0]])
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(view_matrix(pipeline, params, SIZE, view="v")[0], half)
    alone = compiled({"op": "sequence", "ops": [wide, turn]})
    torch.testing.assert_close(view_matrix(alone, params, SIZE, view="v")[0], quarter)
    own = {key.removeprefix("sequence."): value for key, value in params.items() if "." in key}
    inside = alone.plan.view("v").steps[0].op.moves(own, SIZE, B)
    taken_apart = moves(alone, params, SIZE, view="v")
    for (mine, size), (expected, its) in zip(inside, taken_apart, strict=True):
        assert torch.equal(mine, expected)
        assert size == its


def test_a_random_order_multiplies_in_the_order_of_each_sample() -> None:
    shift = {"op": "translate", "x": [0.1, 0.3], "y": [0.1, 0.2]}
    nested = {"op": "sequence", "ops": [shift, {"op": "shear", "x": [10, 30]}]}
    ops = [TURN, JITTER, nested]
    pipeline = compiled({"op": "random_order", "ops": ops})
    params = drawn(pipeline, n=40)
    found = view_matrix(pipeline, params, SIZE, view="v")
    single = {}
    for k, op in enumerate(ops):
        own = {
            name.removeprefix("random_order."): value
            for name, value in params.items()
            if name.startswith(f"random_order.{op['op']}.")
        }
        single[k] = view_matrix(compiled(op), own, SIZE, view="v", batch=40)
    assert torch.equal(single[1], identity(found).expand(40, 3, 3))
    step = pipeline.plan.view("v").steps[0]
    order = step.op.codec.permutation(params["random_order.order"])  # type: ignore[attr-defined]
    assert len({tuple(row) for row in order.tolist()}) > 3
    for k in range(40):
        expected = identity(found)
        for index in order[k].tolist():
            expected = single[index][k] @ expected
        torch.testing.assert_close(found[k], expected, rtol=1e-12, atol=1e-12)


# --- pixels ----------------------------------------------------------------------------------

keeping = st.sampled_from(
    [
        FLIP,
        {"op": "vertical_flip", "p": 0.5},
        {"op": "rotate", "degrees": [-25, 25], "p": 0.7, "fill": 0.5},
        {"op": "rotate90", "quarters": [0, 2]},
        {"op": "affine", "degrees": [-10, 10], "scale": [0.9, 1.2], "shear_x": [-8, 8]},
        {"op": "translate", "p": 0.6, "x": [-0.15, 0.15], "y": [-0.1, 0.1]},
        {"op": "scale", "factor": [0.9, 1.3], "p": 0.5},
        {"op": "shear", "x": [-10, 10], "y": [-5, 5], "p": 0.5},
        {"op": "perspective", "distortion": 0.2, "p": 0.6},
    ]
)
resizing = st.sampled_from(
    [
        {"op": "resized_crop", "size": [32, 36], "area": [0.5, 1.0], "p": 0.8},
        {"op": "random_crop", "size": 30, "padding": 3, "fill": 0.5},
        {"op": "random_crop", "size": [31, 28], "padding": [2, 0, 3, 1], "mode": "reflect"},
        {"op": "center_crop", "size": [33, 31]},
        {"op": "resize", "size": [36, 44]},
        {"op": "pad", "padding": [3, 1, 0, 5], "mode": "edge"},
    ]
)
nested = st.recursive(
    keeping,
    lambda inner: st.builds(
        lambda op, ops: {"op": op, "ops": ops},
        st.sampled_from(["sequence", "maybe", "one_of", "random_order", "some_of", "shuffled"]),
        st.lists(inner, min_size=1, max_size=3),
    ).map(lambda d: {**d, "op": "some_of", "order": "random"} if d["op"] == "shuffled" else d),
    max_leaves=5,
)
chains = st.lists(st.one_of(nested, nested, resizing), min_size=1, max_size=3)


@settings(max_examples=20)
@given(ops=chains, seed=st.integers(0, 2**31))
def test_one_matrix_renders_what_any_nesting_of_geometric_ops_renders(
    ops: list[Document], seed: int
) -> None:
    pipeline = augspec.compile(compiled_spec(ops), seed=seed)
    x = smooth(SIZE)
    batch = pipeline(x, ids=torch.arange(B), epoch=0)
    view, params = batch.views["v"], batch.params["v"]
    # a resize has no parameters, and the images no say in it: B must be told
    (run,) = geometry(pipeline, params, SIZE, view="v", batch=B)
    assert run.run.after == (view.shape[-2], view.shape[-1])
    mine = warp(x, run.matrix, interpolation="bilinear", fill=0.5, size=run.run.after)
    shown = scene(pipeline, params, SIZE, view="v", batch=B).expand_as(view)
    apart = (mine - view).abs()[shown]
    assert len(apart) > 0
    # each op resamples once more, and a box narrows the filter at its edges
    assert apart.mean() < 0.0015
    assert apart.max() < 0.06


def compiled_spec(ops: list[Document]) -> augspec.Spec:
    document = {"version": 1, "name": "t", "views": {"v": {"ops": ops}}}
    return augspec.loads(json.dumps(document))


GEOMETRY_ALONE = Kind(allow=lambda op: op.geometric, views=1)


@settings(max_examples=20)
@given(case=cases(GEOMETRY_ALONE))
def test_any_geometric_spec_at_any_setting_has_finite_elements(case: Case) -> None:
    pipeline = case.pipeline(1)
    ids = torch.arange(B)
    params = pipeline.decode(pipeline.draw(ids, 0, case.size), pipeline.seeds(ids, 0, case.size))
    for view in pipeline.plan.views:
        own = params[view.name]
        found = geometry(pipeline, own, case.size, view=view.name, batch=B)
        covered = {op for element in found for op in element.run.ops}
        assert covered <= mapped(view)
        assert straight(pipeline, own, view=view.name, batch=B).all() == (not bending(view))
        whole = identity(torch.zeros((), dtype=torch.float64)).expand(B, 3, 3)
        for element in found:
            assert torch.isfinite(element.matrix).all()
            whole = compose(element.matrix, whole)
        if not bending(view):
            together = view_matrix(pipeline, own, case.size, view=view.name, batch=B)
            scale = whole.abs().amax(dim=(1, 2), keepdim=True)
            torch.testing.assert_close(together / scale, whole / scale, rtol=0, atol=1e-9)


# --- ops that move nothing, and ops that bend ------------------------------------------------

STILL = [op for op in every(Op) if not isinstance(op, Combinator) and op.group != "geometry"]


@pytest.mark.parametrize("op", STILL, ids=label)
def test_ops_that_are_not_geometric_leave_every_pixel_in_its_place(op: Op) -> None:
    """A patch that is changed changes the result there, and nowhere as much."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(B, 3, 48, 48, generator=generator) * 0.5 + 0.25
    changed = x.clone()
    patch = (slice(None), slice(None), slice(8, 16), slice(24, 32))
    changed[patch] = x[patch].flip(-1, -2)  # as bright on the whole, and of the same histogram
    params = op.draw(uniforms(op), (48, 48))
    assert op.output_size((48, 48)) == (48, 48)
    assert op.moves(params, (48, 48), B) == []
    assert not op.bends
    apart = (op.apply(changed, params) - op.apply(x, params)).abs().mean(dim=1)
    seen = apart.flatten(1).amax(dim=1) > 1e-3  # an erased patch shows nothing
    assert seen.any()
    apart = (apart - apart.flatten(1).median(dim=1).values[:, None, None]).clamp_min(0)[seen]
    weight = apart / apart.sum(dim=(1, 2), keepdim=True)
    position = torch.arange(48) + 0.5
    row, column = (weight.sum(dim=2) @ position, weight.sum(dim=1) @ position)
    # up to half a block of a JPEG, or half a window of a blur
    assert (row - 12).abs().median() < 2.5
    assert (column - 28).abs().median() < 2.5


def test_what_bends_is_named_and_where_it_acts_is_told() -> None:
    mix = {"op": "mix", "strength": [0.2, 0.8], "ops": [{**FLIP, "p": 0.3}, JITTER]}
    pipeline = compiled(
        {"op": "one_of", "ops": [ELASTIC, JITTER, FLIP]},
        TURN,
        {"op": "mix", "id": "colours", "ops": [JITTER]},
        mix,
    )
    plan, params = pipeline.plan.view("v"), drawn(pipeline, n=60)
    assert bending(plan) == ("one_of.elastic", "mix")
    assert [op for op, _ in geometric_ops(plan)] == ["one_of.horizontal_flip", "rotate"]
    assert mapped(plan) == {"one_of.horizontal_flip", "rotate"}
    found = straight(pipeline, params, view="v")
    bent = (params["one_of.elastic.alpha"] > 0) | (params["mix.weight_1"] != 0)
    bent = bent | (params["mix.weight_2"] != 0)
    assert torch.equal(found, ~bent)
    only = compiled({"op": "one_of", "ops": [ELASTIC, JITTER, FLIP]})
    params = drawn(only, n=60)
    found = straight(only, params, view="v")
    assert torch.equal(found, params["one_of.elastic.alpha"] == 0)
    assert 0 < found.sum() < 60


# --- edges -----------------------------------------------------------------------------------


def test_a_view_without_parameters_takes_its_batch_from_the_caller() -> None:
    pipeline = compiled({"op": "resize", "size": 20}, {"op": "center_crop", "size": 16}, plain=[])
    (element,) = geometry(pipeline, {}, (30, 40), view="v", batch=3)
    assert element.matrix.shape == (3, 3, 3)
    assert geometry(pipeline, {}, (30, 40), view="plain") == ()
    like = {"other.parameter": torch.zeros(5, dtype=torch.float64)}
    assert view_matrix(pipeline, like, (30, 40), view="plain").shape == (5, 3, 3)
    assert view_matrix(pipeline, like, (30, 40), view="v").shape == (5, 3, 3)
    assert straight(pipeline, {}, view="plain", batch=4).tolist() == [True] * 4


def test_mistakes_name_what_is_missing() -> None:
    pipeline = compiled(TURN)
    with pytest.raises(KeyError, match="no view 'w'"):
        geometry(pipeline, drawn(pipeline), SIZE, view="w")
    with pytest.raises(KeyError, match=r"rotate\.angle.*'v'"):
        geometry(pipeline, {}, SIZE, view="v")


def test_gradients_reach_the_parameters() -> None:
    pipeline = compiled(
        CROP, {"op": "random_order", "ops": [TURN, {"op": "perspective", "distortion": 0.3}]}
    )
    params = drawn(pipeline, n=2)
    keys = [key for key in params if key != "random_order.order"]
    leaves = [params[key].clone().add(0.01).requires_grad_() for key in keys]

    def forward(*values: Tensor) -> Tensor:
        own = {**params, **dict(zip(keys, values, strict=True))}
        return view_matrix(pipeline, own, SIZE, view="v")

    assert torch.autograd.gradcheck(forward, leaves)


def test_moves_tell_the_sizes_in_between() -> None:
    pipeline = compiled({"op": "pad", "padding": 2}, JITTER, CROP, FLIP)
    found = moves(pipeline, drawn(pipeline), SIZE, view="v")
    assert [size for _, size in found] == [(44, 44), (32, 36), (32, 36)]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    order = {"op": "random_order", "ops": [TURN, FLIP]}
    pipeline = compiled({"op": "resize", "size": 36}, CROP, JITTER, order, {"op": "rotate90"})
    params = drawn(pipeline)
    there = {key: value.cuda() for key, value in params.items()}
    view_matrix(pipeline, there, SIZE, view="v")
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = view_matrix(pipeline, there, SIZE, view="v")
        told = straight(pipeline, there, view="v")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), view_matrix(pipeline, params, SIZE, view="v"))
    assert told.all()
