"""Combinators: what they choose, how often, what it looks like, and what the code says of it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

import augspec
from augspec import Pipeline, SpecError

FLIP: dict[str, Any] = {"op": "horizontal_flip"}
GRAY: dict[str, Any] = {"op": "grayscale"}
SOLARIZE: dict[str, Any] = {"op": "solarize", "threshold": [0.2, 0.8]}
BLUR: dict[str, Any] = {"op": "gaussian_blur", "kernel": 3, "sigma": [0.3, 1.0]}
JITTER: dict[str, Any] = {"op": "color_jitter", "brightness": 0.4, "hue": 0.1}
NOTHING: dict[str, Any] = {"op": "sequence", "ops": []}
N = 4000


def compiled(*ops: dict[str, Any], seed: int = 0) -> Pipeline:
    document = {"version": 1, "name": "t", "views": {"v": {"ops": list(ops)}}}
    return augspec.compile(augspec.loads(json.dumps(document)), seed=seed)


def drawn(pipeline: Pipeline, n: int = N) -> dict[str, Tensor]:
    return pipeline.decode(pipeline.draw(torch.arange(n), 0, (16, 16)))["v"]


def images(n: int) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_one_of_chooses_by_weight_and_leaves_the_others_at_the_identity() -> None:
    ops = [FLIP, GRAY, SOLARIZE, NOTHING]
    pipeline = compiled({"op": "one_of", "weights": [4, 3, 2, 1], "ops": ops})
    p = drawn(pipeline)
    names = ("horizontal_flip.flip", "grayscale.gray", "solarize.on")
    chosen = torch.stack([p[f"one_of.{name}"] for name in names], dim=1)
    assert (chosen.sum(dim=1) <= 1).all()
    counts = [*chosen.sum(dim=0).tolist(), N - chosen.sum().item()]
    assert stats.chisquare(counts, [N * w / 10 for w in (4, 3, 2, 1)]).pvalue > 1e-3
    assert (p["one_of.solarize.threshold"][p["one_of.solarize.on"] == 0] == 0).all()
    # each sample looks as if its op alone had been there
    x = images(64)
    view = pipeline.apply(x, {"v": {key: value[:64] for key, value in p.items()}})["v"]
    for i in range(64):
        alone = [x[i].flip(-1), compiled(GRAY).apply(x[i : i + 1], {"v": _on("grayscale.gray")})]
        if chosen[i, 0]:
            assert torch.equal(view[i], alone[0])
        elif chosen[i, 1]:
            assert torch.equal(view[i], alone[1]["v"][0])
        elif not chosen[i, 2]:
            assert torch.equal(view[i], x[i])


def _on(name: str) -> dict[str, Tensor]:
    return {name: torch.ones(1, dtype=torch.float64)}


def test_maybe_gates_the_group_as_one_and_its_ops_keep_their_own_gates() -> None:
    p = drawn(compiled({"op": "maybe", "p": 0.3, "ops": [GRAY, {**FLIP, "p": 0.5}, SOLARIZE]}))
    group, flip = p["maybe.grayscale.gray"], p["maybe.horizontal_flip.flip"]
    assert torch.equal(group, p["maybe.solarize.on"])
    assert stats.binomtest(int(group.sum()), N, 0.3).pvalue > 1e-3
    assert (flip <= group).all()
    assert stats.binomtest(int(flip.sum()), int(group.sum()), 0.5).pvalue > 1e-3


@pytest.mark.parametrize("order", ["listed", "random"])
def test_some_of_takes_n_different_ops_all_subsets_being_equally_likely(order: str) -> None:
    ops = [FLIP, GRAY, SOLARIZE]
    p = drawn(compiled({"op": "some_of", "n": [1, 2], "order": order, "ops": ops}))
    names = ("horizontal_flip.flip", "grayscale.gray", "solarize.on")
    chosen = torch.stack([p[f"some_of.{name}"] for name in names], dim=1)
    assert set(chosen.sum(dim=1).tolist()) == {1.0, 2.0}
    subsets = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)]
    counts = [(chosen == torch.tensor(s)).all(dim=1).sum().item() for s in subsets]
    assert sum(counts) == N
    assert stats.chisquare(counts).pvalue > 1e-3


def test_random_order_draws_every_order_equally_and_renders_in_it() -> None:
    ops = [SOLARIZE, {**BLUR, "sigma": 0.8}, {**JITTER, "hue": 0}]
    pipeline = compiled({"op": "random_order", "ops": ops})
    p = drawn(pipeline)
    counts = p["random_order.order"].long().bincount(minlength=6).tolist()
    assert stats.chisquare(counts).pvalue > 1e-3
    x = images(48)
    p = {key: value[:48] for key, value in p.items()}
    view = pipeline.apply(x, {"v": p})["v"]
    single = [compiled(op) for op in ops]
    orders = list(itertools.permutations(range(3)))
    for i in range(48):
        expected = x[i : i + 1]
        for k in orders[round(p["random_order.order"][i].item())]:
            own = {
                key.removeprefix("random_order."): value[i : i + 1]
                for key, value in p.items()
                if key.startswith(f"random_order.{ops[k]['op']}.")
            }
            expected = single[k].apply(expected, {"v": own})["v"]
        torch.testing.assert_close(view[i : i + 1], expected, rtol=0, atol=1e-6)


def test_an_order_that_cannot_be_seen_has_no_code() -> None:
    pipeline = compiled({"op": "random_order", "ops": [{**GRAY, "p": 0.5}, {**SOLARIZE, "p": 0.5}]})
    codes = pipeline.draw(torch.arange(200), 0, (16, 16))["v"]
    p = pipeline.decode({"v": codes})["v"]
    both = (p["random_order.grayscale.gray"] > 0) & (p["random_order.solarize.on"] > 0)
    assert both.any() and not both.all()
    assert (codes[~both, 0] == 0).all()
    assert set(codes[both, 0].tolist()) == {-1.0, 1.0}


def test_repeat_draws_anew_each_time_and_moves_idle_times_to_the_end() -> None:
    p = drawn(compiled({"op": "repeat", "times": [0, 3], "ops": [{**SOLARIZE, "p": 0.5}]}))
    on = torch.stack([p[f"repeat.{k}.on"] for k in (1, 2, 3)], dim=1)
    assert (on.diff(dim=1) <= 0).all()  # active ones first
    probabilities = [0.0] * 4
    for times in range(4):
        for k in range(times + 1):
            probabilities[k] += 0.25 * stats.binom.pmf(k, times, 0.5)
    counts = on.sum(dim=1).long().bincount(minlength=4).tolist()
    assert stats.chisquare(counts, [N * q for q in probabilities]).pvalue > 1e-3
    twice = on[:, 1] > 0
    first, second = p["repeat.1.threshold"][twice], p["repeat.2.threshold"][twice]
    assert (first != second).all()
    assert abs(stats.pearsonr(first.numpy(), second.numpy()).statistic) < 0.1


def test_several_ops_are_repeated_as_a_sequence() -> None:
    layout = compiled({"op": "repeat", "times": 2, "ops": [FLIP, GRAY]}).layouts["v"]
    assert layout.ops == (
        "repeat.1.horizontal_flip",
        "repeat.1.grayscale",
        "repeat.2.horizontal_flip",
        "repeat.2.grayscale",
    )


def test_mix_is_the_weighted_mean_of_the_renderings() -> None:
    pipeline = compiled({"op": "mix", "strength": [0, 1], "ops": [FLIP, {**GRAY, "p": 0.7}]})
    p, x = drawn(pipeline), images(32)
    w1, w2 = p["mix.weight_1"], p["mix.weight_2"]
    gray = p["mix.grayscale.gray"] > 0
    assert (w2[~gray] == 0).all()  # a weight on the image itself is no weight
    # with both renderings, the strength m is uniform and so is the part of each in it
    total = (w1 + w2)[gray]
    assert stats.kstest(total.numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest((w1[gray] / total).numpy(), "uniform").pvalue > 1e-3
    view = pipeline.apply(x, {"v": {key: value[:32] for key, value in p.items()}})["v"]
    luma = augspec.compile(augspec.loads(json.dumps(_alone(GRAY)))).apply(
        x, {"v": {"grayscale.gray": torch.ones(32, dtype=torch.float64)}}
    )["v"]
    w1, w2 = (w[:32].float()[:, None, None, None] for w in (w1, w2))
    expected = (1 - w1 - w2) * x + w1 * x.flip(-1) + w2 * luma
    torch.testing.assert_close(view, expected, rtol=0, atol=1e-6)


def _alone(op: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "name": "t", "views": {"v": {"ops": [op]}}}


def test_wrapping_or_adding_an_op_leaves_its_neighbours_draws_alone() -> None:
    few = compiled({"op": "one_of", "ops": [SOLARIZE, BLUR]}, JITTER)
    more = compiled({"op": "one_of", "ops": [FLIP, SOLARIZE, BLUR]}, JITTER)
    a, b = drawn(few), drawn(more)
    assert torch.equal(a["color_jitter.hue"], b["color_jitter.hue"])
    both = (a["one_of.solarize.on"] > 0) & (b["one_of.solarize.on"] > 0)
    assert both.any()
    name = "one_of.solarize.threshold"
    assert torch.equal(a[name][both], b[name][both])


@pytest.mark.parametrize(
    "op",
    [
        {"op": "repeat", "times": [1, 2], "ops": [NOTHING]},
        {"op": "one_of", "ops": [NOTHING, {"op": "sequence", "ops": [NOTHING]}]},
        {"op": "maybe", "ops": [NOTHING]},
        {"op": "mix", "ops": [NOTHING]},
        {"op": "random_order", "ops": [NOTHING, NOTHING]},
    ],
)
def test_what_never_happens_leaves_the_images_as_they_are(op: dict[str, Any]) -> None:
    x = images(3)
    batch = compiled(op)(x, ids=torch.arange(3), epoch=0)
    assert torch.equal(batch.views["v"], x)
    assert (batch.codes["v"] == 0).all()


leaves = st.sampled_from([NOTHING, FLIP, {**GRAY, "p": 0.5}, {**SOLARIZE, "p": 0.8}, BLUR, JITTER])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda op, ops: {"op": op, "ops": ops},
            st.sampled_from(["sequence", "maybe", "one_of", "random_order", "mix", "some_of"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(
            lambda times, ops: {"op": "repeat", "times": times, "ops": ops},
            st.sampled_from([2, [1, 2]]),
            st.lists(inner, min_size=1, max_size=2),
        ),
    ),
    max_leaves=6,
)


@given(ops=st.lists(trees, min_size=1, max_size=2), seed=st.integers(0, 2**32 - 1))
def test_any_nesting_replays_bit_by_bit_and_gates_off_to_the_zero_code(
    ops: list[dict[str, Any]], seed: int
) -> None:
    pipeline = compiled(*ops, seed=seed)
    x = images(6)
    batch = pipeline(x, ids=torch.arange(6), epoch=1)
    code = batch.codes["v"]
    again = pipeline.decode(batch.codes)
    assert not again["v"] or torch.equal(pipeline.encode(again)["v"], code)
    assert torch.equal(pipeline.apply(x, again)["v"], batch.views["v"])
    assert torch.isfinite(batch.views["v"]).all()
    still = (code == 0).all(dim=1)
    assert torch.equal(batch.views["v"][still], x[still])
    zero = pipeline.decode({"v": torch.zeros_like(code)})
    assert torch.equal(pipeline.apply(x, zero)["v"], x)
    alone = pipeline(x[2:3], ids=torch.arange(2, 3), epoch=1)
    assert torch.equal(alone.codes["v"], code[2:3])


@pytest.mark.parametrize(
    ("op", "code", "words"),
    [
        ({"op": "one_of", "ops": [{"op": "resized_crop", "size": 8}]}, "AS108", "changes the size"),
        ({"op": "maybe", "ops": [{"op": "resize", "size": 8}]}, "AS107", "always acts"),
        ({"op": "random_order", "ops": []}, "AS104", "can never act"),
        ({"op": "mix", "strength": 0, "ops": [FLIP]}, "AS104", "can never act"),
        ({"op": "some_of", "n": 0, "ops": [FLIP]}, "AS104", "can never act"),
        (
            {"op": "random_order", "ops": [{**FLIP, "id": f"f{k}"} for k in range(19)]},
            "AS114",
            "18",
        ),
        ({"op": "maybe", "ops": [GRAY, {"op": "solarize", "id": "grayscale"}]}, "AS111", "already"),
        ({"op": "one_of", "weights": [1], "ops": [FLIP, GRAY]}, None, "each of 2 ops, got 1"),
        ({"op": "one_of", "weights": [0, 0], "ops": [FLIP, GRAY]}, None, "positive"),
        ({"op": "some_of", "n": 3, "ops": [FLIP, GRAY]}, None, "at most 2"),
        ({"op": "some_of", "n": [2, 1], "ops": [FLIP, GRAY]}, None, "must not exceed"),
        ({"op": "repeat", "times": [2, 1], "ops": [FLIP]}, None, "must not exceed"),
    ],
)
def test_mistakes(op: dict[str, Any], code: str | None, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        augspec.loads(json.dumps(_alone(op)))
    assert any(words in d.message and d.code == code for d in caught.value.diagnostics), (
        caught.value
    )
