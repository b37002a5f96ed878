"""What a code promises, over random specs: layout, identity, round trips, replay, gates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from random_specs import Case, Kind, cases, examples
from torch import Tensor

import augspec
from augspec import Pipeline
from augspec.compiler.pipeline import ViewBatch
from augspec.compiler.plan import ViewPlan, make_plan
from augspec.encoding.layout import Layout
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Size

B = 5
seeds = st.integers(0, 2**32 - 1)


def run(case: Case, seed: int, x: Tensor | None = None) -> tuple[Pipeline, Tensor, ViewBatch]:
    pipeline = case.pipeline(seed)
    x = case.images(B, seed) if x is None else x
    return pipeline, x, pipeline(x, ids=torch.arange(len(x)), epoch=1)


def changed(data: Any, **fields: Any) -> Any:
    """A document with these functions applied to the fields of that name, wherever they are."""
    if isinstance(data, list):
        return [changed(item, **fields) for item in data]
    if not isinstance(data, dict):
        return data
    return {k: fields[k](v) if k in fields else changed(v, **fields) for k, v in data.items()}


def layouts(document: dict[str, Any]) -> dict[str, Layout]:
    return {v.name: v.layout for v in make_plan(augspec.loads(json.dumps(document))).views}


@examples(50)
@given(case=cases(), seed=seeds, epoch=seeds, batch=st.integers(1, 4))
def test_the_layout_is_known_before_any_data(case: Case, seed: int, epoch: int, batch: int) -> None:
    known = layouts(case.document)
    pipeline = case.pipeline(seed)
    for size in (case.size, (case.size[0] + 5, case.size[1] + 2)):
        codes = pipeline.draw(torch.arange(batch), epoch, size)
        fields = pipeline.seeds(torch.arange(batch), epoch, size)
        params = pipeline.decode(codes, fields)
        assert list(codes) == list(known)
        for name, layout in known.items():
            assert codes[name].shape == (batch, layout.width)
            named = [slot.name for slot in layout.slots]
            assert set(params[name]) == {*named, *fields[name]}
            assert len(params[name]) == len(named) + len(fields[name])
    assert pipeline.layouts == known
    for layout in known.values():
        # every column belongs to one slot and has a name of its own
        assert [c for s in layout.slots for c in range(s.start, s.stop)] == [*range(layout.width)]
        assert len(set(layout.column_names)) == layout.width
        assert (
            Layout.from_document(layout.view, json.loads(json.dumps(layout.document()))) == layout
        )


@examples(50)
@given(case=cases())
def test_layouts_of_equal_meaning_have_equal_hashes(case: Case) -> None:
    """Neither what is known of the images, nor how often an op acts, is part of the meaning."""
    image = {k: v for k, v in case.document.get("image", {}).items() if k != "size"}
    unknown = {**case.document, "image": image}
    rarer = changed(case.document, p=lambda p: p / 2)
    written = case.spec.document()
    own = layouts(case.document)
    for other in (unknown, rarer, written):
        assert {n: v.hash for n, v in layouts(other).items()} == {n: v.hash for n, v in own.items()}
    assert layouts(written) == own


@examples(50)
@given(case=cases(), seed=seeds)
def test_draws_lie_in_the_ranges_of_the_layout(case: Case, seed: int) -> None:
    pipeline = case.pipeline(seed)
    params = pipeline.decode(pipeline.draw(torch.arange(24), 0, case.size))
    for view in pipeline.plan.views:
        for slot in view.layout.slots:
            if slot.low is None or slot.high is None:
                continue
            slack = 1e-6 * max(1.0, abs(slot.low), abs(slot.high))
            found = params[view.name][slot.name]
            turns = (-1, 0, 1) if slot.codec == "angle" else (0,)  # of which there may be more
            fits = [
                (slot.low - slack <= v) & (v <= slot.high + slack) for v in map(found.add, turns)
            ]
            assert torch.stack(fits).any(dim=0).all(), (slot, found)


def plain(op: Op, x: Tensor) -> Tensor:
    """What is left of an op at its identity: nothing, or the change of size."""
    if isinstance(op, Combinator):
        for _, child in () if op.keeps_size else op.children:
            x = plain(child, x)
        return x
    if not op.parameters():
        return op.render(x, {})
    if op.keeps_size:
        return x
    identity = {
        p.name: torch.full((len(x),), p.identity, dtype=torch.float64) for p in op.parameters()
    }
    view = op.render(x, identity)
    if hasattr(op, "interpolation"):
        nearest = op.interpolation == "nearest"
        more = {} if nearest else {"antialias": op.antialias, "align_corners": False}
        resized = F.interpolate(x, view.shape[-2:], mode=op.interpolation, **more)
        torch.testing.assert_close(view, resized, rtol=0, atol=2e-5)
    return view


def unnormalised(case: Case, seed: int = 0) -> Pipeline:
    """On the reference backend: views are compared bit by bit with what ops make by themselves."""
    return Pipeline(replace(make_plan(case.spec), normalize=None), seed=seed, backend="eager")


@examples(50)
@given(case=cases(), seed=seeds)
def test_the_zero_code_is_the_identity(case: Case, seed: int) -> None:
    x, pipeline = case.images(2, seed), unnormalised(case)
    zero = {name: torch.zeros(2, layout.width) for name, layout in pipeline.layouts.items()}
    params = pipeline.decode(zero)
    views = pipeline.apply(x, params)
    for view in pipeline.plan.views:
        expected = x
        for step in view.steps:
            for p in step.op.parameters():
                assert (params[view.name][step.key(p.name)] == p.identity).all(), p
            expected = plain(step.op, expected)
        assert torch.equal(views[view.name], expected)
        if params[view.name]:
            again = pipeline.encode({view.name: params[view.name]})
            assert torch.equal(again[view.name], zero[view.name])


def raw(view: ViewPlan, size: Size, seed: int, batch: int = B) -> dict[str, Tensor]:
    """Parameters as ops draw them: neither canonical nor rounded."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for step in view.steps:
        uniforms = [
            torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
            for stream in step.op.streams()
        ]
        found |= {step.key(k): v for k, v in step.op.draw(uniforms, size).items()}
        size = step.op.output_size(size)
    return found


@examples(50)
@given(case=cases(), seed=seeds)
def test_codes_and_parameters_are_each_others_record(case: Case, seed: int) -> None:
    pipeline, _, batch = run(case, seed)
    for name, params in batch.params.items():
        if not params:
            continue
        again = pipeline.encode({name: params})[name]
        assert torch.equal(again, batch.codes[name])
        back = pipeline.decode({name: again}, batch.seeds)[name]
        assert back.keys() == params.keys()
        assert all(torch.equal(back[key], value) for key, value in params.items())


def beta(shape: float, low: float, high: float) -> dict[str, Any]:
    return {"beta": {"alpha": shape, "beta": 1, "low": low, "high": high}}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "color_jitter", "contrast": beta(0.1, 0, 1), "saturation": 0.4, "hue": 0.1},
        {"op": "color_jitter", "brightness": beta(0.1, 0, 1), "saturation": 0.4},
        {"op": "mix", "strength": beta(0.05, 0, 1), "ops": [{"op": "invert"}]},
        {"op": "salt_and_pepper", "amount": beta(0.05, 0, 1)},
        {"op": "translate", "x": {"normal": {"mean": 1, "std": 1e-7, "low": -1, "high": 1}}},
    ],
    ids=lambda op: op["op"],
)
def test_what_float32_rounds_away_has_no_code(op: dict[str, Any]) -> None:
    """Draws so near to where a parameter hides another one that their code says that it does."""
    document = {"version": 1, "name": "t", "views": {"v": {"ops": [op]}}}
    pipeline = Case(document, (16, 16)).pipeline()
    ids = torch.arange(4000)
    code = pipeline.draw(ids, 0, (16, 16))["v"]
    params = pipeline.decode({"v": code}, pipeline.seeds(ids, 0, (16, 16)))
    assert torch.equal(pipeline.encode(params)["v"], code)
    # without rounding first, some codes would be others
    raw_params = raw(pipeline.plan.views[0], (16, 16), 0, 4000)
    early = pipeline.encode({"v": raw_params})
    assert not torch.equal(pipeline.encode(pipeline.decode(early))["v"], early["v"])


@examples(50)
@given(case=cases(), seed=seeds)
def test_rounding_a_draw_first_leaves_its_columns_alone(case: Case, seed: int) -> None:
    for view in case.pipeline().plan.views:
        params = raw(view, case.size, seed)
        for step in view.steps:
            for p in step.op.parameters():
                drawn = params[step.key(p.name)]
                rounded = p.codec.carried(drawn)
                assert torch.equal(p.codec.encode(rounded).float(), p.codec.encode(drawn).float())
                assert torch.equal(p.codec.carried(rounded), rounded)


@examples(50)
@given(case=cases(Kind(usual=True)), seed=seeds)
def test_codes_in_float64_lose_nothing(case: Case, seed: int) -> None:
    pipeline = case.pipeline(seed)
    for view in pipeline.plan.views:
        params = raw(view, case.size, seed)
        if not params:
            continue
        code = pipeline.encode({view.name: params}, dtype=torch.float64)[view.name]
        back = pipeline.decode({view.name: code})[view.name]
        again = pipeline.encode({view.name: back}, dtype=torch.float64)[view.name]
        torch.testing.assert_close(again, code, rtol=1e-12, atol=1e-12)
        single = pipeline.encode({view.name: params})[view.name]
        torch.testing.assert_close(single, code.float(), rtol=0, atol=0)


@examples(50)
@given(case=cases(), seed=seeds)
def test_views_are_what_their_codes_say(case: Case, seed: int) -> None:
    pipeline, x, batch = run(case, seed)
    again = pipeline.apply(x, pipeline.decode(batch.codes, batch.seeds))
    assert list(again) == list(batch.views)
    for name, view in batch.views.items():
        assert torch.isfinite(view).all()
        assert torch.equal(again[name], view)


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether two renderings differ by rounding alone.

    Convolutions and matrix products round otherwise, in the last bits (3e-7), in a batch of another
    size or at another place in memory; behind a threshold, that can be seen in single pixels.
    """
    return bool(((a - b).abs().flatten(1).mean(dim=1) <= 1e-3).all())


@examples(50)
@given(case=cases(), seed=seeds, index=st.integers(0, B - 1))
def test_a_sample_does_not_see_its_batch(case: Case, seed: int, index: int) -> None:
    pipeline, x, batch = run(case, seed)
    own = slice(index, index + 1)
    alone = pipeline(x[own], ids=torch.arange(B)[own], epoch=1)
    for name, view in batch.views.items():
        assert torch.equal(alone.codes[name], batch.codes[name][own])
        assert alike(alone.views[name], view[own])


@examples(50)
@given(case=cases(), seed=seeds, order=st.lists(st.integers(0, B - 1), min_size=1, max_size=8))
def test_a_code_shows_the_same_in_any_batch(case: Case, seed: int, order: list[int]) -> None:
    pipeline, _, batch = run(case, seed)
    x = case.images(1, seed)
    views = pipeline.apply(x.expand(B, -1, -1, -1), batch.params)
    codes = {name: code[order] for name, code in batch.codes.items()}
    fields = {n: {key: v[order] for key, v in own.items()} for n, own in batch.seeds.items()}
    again = pipeline.apply(x.expand(len(order), -1, -1, -1), pipeline.decode(codes, fields))
    for name, view in views.items():
        assert alike(again[name], view[order])


@examples(50)
@given(case=cases(), seed=seeds)
def test_different_views_of_an_image_have_different_codes(case: Case, seed: int) -> None:
    """Or seeds: what is seen is a function of both."""
    _, x, batch = run(case, seed, case.images(1, seed).expand(32, -1, -1, -1))
    for name, view in batch.views.items():
        known = [batch.codes[name].double(), *(v[:, None] for v in batch.seeds[name].values())]
        known.append(torch.zeros(len(x), 1))  # a view without random ops has no columns
        _, group = torch.unique(torch.cat(known, dim=1), dim=0, return_inverse=True)
        for k in range(int(group.max()) + 1):
            same = view[group == k]
            assert alike(same, same[:1].expand_as(same))


def canonical(view: ViewPlan, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for step in view.steps:
        own = {name: params[step.key(name)] for name in step.parameters}
        found |= {step.key(k): v for k, v in (step.op.canonical(own) if own else {}).items()}
    return found


def names(view: ViewPlan) -> set[str]:
    return {slot.name for slot in view.layout.slots}


@examples(50)
@given(case=cases(), seed=seeds, data=st.data())
def test_zero_columns_take_an_op_away(case: Case, seed: int, data: st.DataObject) -> None:
    pipeline = unnormalised(case, seed)
    x = case.images(B, seed)
    batch = pipeline(x, ids=torch.arange(B), epoch=1)
    for view in pipeline.plan.views:
        if not view.layout.ops:
            continue
        op_id = data.draw(st.sampled_from(view.layout.ops))
        columns = view.layout.columns(op_id)
        code = batch.codes[view.name].clone()
        code[:, columns] = 0
        params = pipeline.decode({view.name: code}, batch.seeds)
        shown = pipeline.apply(x, params)[view.name]
        again = pipeline.encode(params)[view.name]
        # what is left has a canonical code, of the same view; seeds move along in a `repeat`
        fields = {
            k: v for k, v in canonical(view, params[view.name]).items() if k not in names(view)
        }
        params = pipeline.decode({view.name: again}, {view.name: fields})
        assert torch.equal(pipeline.encode(params)[view.name], again)
        assert alike(pipeline.apply(x, params)[view.name], shown)
        if "." not in op_id:
            assert torch.equal(again, code)
            without = x
            for step in view.steps:
                if step.id == op_id:
                    without = plain(step.op, without)
                else:
                    own = {p: params[view.name][step.key(p)] for p in step.parameters}
                    without = step.op.apply(without, own)
            assert torch.equal(shown, without)
