"""Same effect, same code: of single ops, and of all that combinators can make of them."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import augspec
from augspec.language.document import loads_model
from augspec.language.values import Value
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, Parameters

Document = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On images this small, threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(document: Document) -> Op:
    return loads_model(OPS[document["op"]], json.dumps(document))


def raw_draw(op: Op, seed: int, batch: int, size: tuple[int, int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1000 * seed + 17)
    uniforms = [
        torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
        for stream in op.streams()
    ]
    return op.draw(uniforms, size)


def carried(op: Op, raw: Parameters) -> tuple[Tensor, dict[str, Tensor]]:
    """The float32 code of a draw, and what a pipeline renders: what it decodes to, and seeds."""
    canonical = op.canonical(raw)
    code = op.encode(raw).float()
    return code, {**op.decode(code), **{name: canonical[name] for name in op.seeds}}


def rows(values: Tensor) -> Tensor:
    """Which pairs of rows are equal, `(B, B)`, above the diagonal."""
    return (values[:, None] == values[None]).all(dim=-1).triu(1)


def near(views: Tensor, error: float) -> Tensor:
    """Which pairs of samples have the same view, `(B, B)`, above the diagonal."""
    flat = views.double().flatten(1)
    return (torch.cdist(flat, flat, p=float("inf")) < error).triu(1)


# --- single ops ---------------------------------------------------------------------------------


def few_values(op: Op) -> Op:
    """The op with each value drawn from at most three numbers, its bounds among them."""
    document = op.model_dump(mode="json")

    def shrink(one: Op, own: Document) -> None:
        for field in type(one).model_fields:
            value = getattr(one, field)
            if field == "ops":
                for inner, its in zip(value, own["ops"], strict=True):
                    shrink(inner, its)
            elif isinstance(value, Value) and not hasattr(value, "choice"):
                middle = (value.low + value.high) / 2
                middle = round(middle) if one.tag() in ("jpeg", "posterize") else middle
                own[field] = {"choice": sorted({value.low, middle, value.high})}
            elif field == "size" and isinstance(value, int):
                own[field] = min(value, 16)  # the less to render, the sooner it is done
        if own.get("p"):
            own["p"] = 0.7

    shrink(op, document)
    return make(document)


def every_op() -> list[Op]:
    found: dict[str, Op] = {}
    for tag, cls in OPS.items():
        for fields in ({}, *cls.examples):
            op = few_values(make({"op": tag, **fields}))
            # two flips that undo one another did something, each of them
            if op.parameters() and tag != "repeat":
                found[op.model_dump_json()] = op
    return list(found.values())


# ways to write ops in which they can hide what they draw
CORNERS: list[Document] = [
    {"op": "gaussian_blur", "kernel": 1, "sigma": {"choice": [0.3, 0.8]}},
    {
        "op": "affine",
        "degrees": {"choice": [0, 180, -180]},
        "translate_x": {"choice": [-1, -0.8, 0, 0.8]},
        "translate_y": {"choice": [-1, 0, 0.8]},
        "scale": {"choice": [0.5, 1]},
    },
    {
        "op": "affine",
        "degrees": {"choice": [0, 30]},
        "shear_x": {"choice": [-20, 0, 20]},
        "shear_y": {"choice": [-20, 0, 20]},
    },
    {"op": "random_crop", "size": 4, "padding": 6, "fill": 0.5},
    {"op": "random_crop", "size": 4, "padding": [0, 6, 6, 0]},
    {"op": "random_crop", "size": 4, "padding": 6, "mode": "edge"},
    {"op": "random_crop", "size": 4, "padding": 6, "mode": "symmetric"},
    {
        "op": "color_jitter",
        "brightness": {"choice": [0, 1, 1.5]},
        "contrast": {"choice": [0, 1, 1.5]},
        "saturation": {"choice": [0, 1, 1.5]},
        "hue": {"choice": [-0.5, 0, 0.2, 0.5]},
    },
    {
        "op": "motion_blur",
        "kernel": 3,
        "angle": {"choice": [-180, -90, -45, 0, 45, 90, 180, 360]},
        "direction": {"choice": [-1, 0, 0.5, 1]},
    },
    {"op": "jpeg", "quality": {"choice": [1, 2, 50, 99, 100]}},
    {"op": "rotate", "degrees": {"choice": [-180, -90, 0, 90, 180]}},
    {"op": "salt_and_pepper", "amount": {"choice": [0, 1, 0.5]}, "salt": {"choice": [0, 1]}},
    {"op": "shear", "x": {"choice": [0, 45, -45]}, "y": {"choice": [0, 45, -45]}},
]
# another size may part boxes and grids that show the same pixels at one
SIZES = ((24, 24), (41, 41))


@cache
def photograph(size: tuple[int, int]) -> Tensor | None:
    root = Path(__file__).parents[3]
    data = Path(os.environ.get("AUGSPEC_TEST_DATA", root.parent / "shared" / "data"))
    files = sorted((data / "photos").glob("*.jpg"))
    if not files:
        return None
    image = Image.open(files[3]).convert("RGB").resize(size[::-1])
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def probes(size: tuple[int, int]) -> list[Tensor]:
    """Noise that leaves [0, 1], and a photograph if there is one: `(3, H, W)` each."""
    generator = torch.Generator().manual_seed(size[0])
    noise = torch.rand(3, *size, generator=generator) * 1.6 - 0.3
    photo = photograph(size)
    return [noise] if photo is None else [noise, photo]


def views_of(op: Op, params: Parameters, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """What a draw makes of all the probes, `(B, pixels)`."""
    batch = len(next(iter(params.values())))
    images = [probe.expand(batch, *probe.shape).contiguous() for s in sizes for probe in probes(s)]
    return torch.cat([op.apply(x, params).flatten(1) for x in images], dim=1)


@pytest.mark.parametrize(
    "op",
    [*every_op(), *map(make, CORNERS)],
    ids=lambda op: op.model_dump_json(exclude_defaults=True),
)
def test_draws_of_an_op_that_look_alike_have_one_code_and_no_others_do(op: Op) -> None:
    raw = raw_draw(op, 0, 70, SIZES[0])
    code, params = carried(op, raw)
    assert torch.equal(op.encode(params).float(), code)
    # where a box has whole pixels, it means something else at another size
    views = views_of(op, params, SIZES[:1] if op.tag() == "random_crop" else SIZES)
    known = torch.cat([code.double(), *(params[name][:, None] for name in op.seeds)], dim=1)
    assert not (near(views, 1e-7) & ~rows(code)).any(), "one effect, two codes"
    # of what was drawn: views of equal codes are equal in any case
    drawn = views_of(op, raw, SIZES[:1])
    assert not (rows(known) & ~near(drawn, 1e-4)).any(), "one code, two effects"


# --- combinators --------------------------------------------------------------------------------

# Ops of which no product equals another, unless it is one whose order no image can show: they
# neither hide nor undo one another, however often they act (a factor below 1 clamps nothing after
# one above 1 has clamped, and then commutes with more) ...
FREE: list[Document] = [
    {"op": "gamma", "gamma": {"choice": [0.6, 1.7]}, "p": 0.7},
    {"op": "brightness", "factor": {"choice": [1.0, 1.1, 1.25]}},
    {"op": "contrast", "factor": {"choice": [1.0, 1.15, 1.3]}},
    {"op": "gaussian_blur", "kernel": 3, "sigma": {"choice": [0.5, 1.2]}, "p": 0.7},
    {"op": "translate", "x": {"choice": [0.0, 0.17]}, "y": {"choice": [0.0, 0.26]}, "fill": 0.3},
    {"op": "sharpness", "factor": {"choice": [2.5, 4.0]}, "p": 0.7},
]
# ... and ops that would undo themselves: no tree has one of them twice
ONCE: list[Document] = [
    {"op": "horizontal_flip", "p": 0.6},
    {"op": "vertical_flip", "p": 0.6},
    {"op": "invert", "p": 0.6},
]
CHANNELS: list[Document] = [{"op": "channel_shuffle"}, {"op": "grayscale", "p": 0.6}]


@st.composite
def forests(draw: st.DrawFn) -> Document:
    """A combinator over ops, some of them twins, and over combinators of the same."""

    def named(ops: list[Document]) -> list[Document]:
        return [{**op, "id": f"op{k}"} for k, op in enumerate(ops)]

    def combine(ops: list[Document], kinds: list[str]) -> Document:
        kind = draw(st.sampled_from(kinds))
        if kind == "repeat":
            one = ops[0] if len(ops) == 1 else {"op": "one_of", "ops": named(ops)}
            return {"op": "repeat", "times": draw(st.sampled_from([2, [1, 3]])), "ops": [one]}
        extra: Document = {}
        if kind == "some_of":
            extra["order"] = draw(st.sampled_from(["random", "listed"]))
            extra["n"] = draw(st.integers(1, min(2, len(ops))))
        return {"op": kind, **extra, "ops": named(ops)}

    def free(ops: list[Document]) -> list[Document]:
        return draw(st.lists(st.sampled_from(ops), min_size=1, max_size=3))

    # the same op inside and outside of an inner combinator could do the same in either place: ops
    # that are written differently are told apart
    kinds = draw(st.permutations(FREE))
    outside, inside = kinds[:3], kinds[3:]
    inner = ["sequence", "maybe", "one_of", "random_order", "repeat"]
    ops = free(outside)
    if draw(st.booleans()):
        ops = [*ops, ops[0]]  # twins
    if draw(st.booleans()):
        ops = [*ops, combine(free(inside), inner)]
    once = [*ONCE, draw(st.sampled_from(CHANNELS))]
    ops = draw(st.permutations([*ops, *draw(st.lists(st.sampled_from(once), unique_by=str))]))
    kinds = ["random_order", "random_order", "some_of", "one_of", "sequence", "maybe"]
    return combine(list(ops), kinds)


BEYOND = (14, 14)


def beyond() -> Tensor:
    """A ramp with noise, far beyond [0, 1] on both sides: every clamp and threshold is seen."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.rand(3, *BEYOND, generator=generator, dtype=torch.float64) * 1.2 - 0.6
    down = torch.linspace(-0.7, 1.6, BEYOND[0], dtype=torch.float64)[:, None]
    across = torch.linspace(-0.5, 0.5, BEYOND[1], dtype=torch.float64)
    return noise + down + across * torch.tensor([1.0, -0.7, 0.4]).double()[:, None, None]


def test_draws_of_a_combinator_that_look_alike_have_one_code_and_no_others_do() -> None:
    merged: list[int] = []

    @settings(max_examples=60)
    @given(document=forests(), seed=st.integers(0, 2**16))
    def check(document: Document, seed: int) -> None:
        op, batch = make(document), 40
        raw = raw_draw(op, seed, batch, BEYOND)
        code, params = carried(op, raw)
        assert torch.equal(op.encode(params).float(), code), "a decoded code has another code"
        x = beyond().expand(batch, 3, *BEYOND).contiguous()
        views = op.apply(x, params)
        drawn = op.apply(x, raw)
        torch.testing.assert_close(op.apply(x, op.canonical(raw)), drawn, rtol=0, atol=1e-4)
        alike = near(views, 1e-9)
        assert not (alike & ~rows(code)).any(), "one effect, two codes"
        # of what was drawn: views of equal codes are equal in any case
        assert not (rows(code) & ~near(drawn, 1e-4)).any(), "one code, two effects"
        written = torch.stack(list(raw.values()), dim=-1)
        merged.append(int((alike & ~rows(written)).sum()))

    check()
    # draws that are written differently and look alike: without them, nothing was tested
    assert sum(count > 0 for count in merged) > len(merged) / 3
    assert sum(merged) > 500


NOISE: Document = {"op": "gaussian_noise", "sigma": {"choice": [0.0, 0.1]}, "mean": [-0.1, 0.1]}
TURN: Document = {"op": "rotate", "degrees": [-40, 40], "p": 0.7}
SHADE: Document = {
    "op": "one_of",
    "ops": [{"op": "solarize", "threshold": [0.2, 0.8]}, {"op": "gamma"}, {"op": "equalize"}],
}


def twin_ops(one: Document, count: int, *others: Document) -> list[Document]:
    return [*({**one, "id": f"twin{k}"} for k in range(count)), *others]


def swapped(params: Parameters, a: str, b: str) -> dict[str, Tensor]:
    """The parameters with those of two ops exchanged."""
    other = {a: b, b: a}
    parts = {name: name.split(".", 1) for name in params}
    return {
        name: params[".".join([other.get(first, first), *rest])]
        for name, (first, *rest) in parts.items()
    }


@pytest.mark.parametrize("one", [TURN, SHADE, NOISE], ids=lambda one: one["op"])
@pytest.mark.parametrize("names", list(itertools.combinations(range(3), 2)))
def test_renderings_of_a_mix_can_be_exchanged(one: Document, names: tuple[int, int]) -> None:
    op = make({"op": "mix", "strength": [0.3, 1], "ops": twin_ops(one, 3, {"op": "grayscale"})})
    raw = raw_draw(op, 3, 50, (16, 16))
    a, b = names
    other = swapped(raw, f"twin{a}", f"twin{b}")
    other[f"weight_{a + 1}"], other[f"weight_{b + 1}"] = (
        raw[f"weight_{b + 1}"],
        raw[f"weight_{a + 1}"],
    )
    code, params = carried(op, raw)
    assert torch.equal(op.encode(other), op.encode(raw))
    assert torch.equal(carried(op, other)[0], code)
    weights = torch.stack([params[f"weight_{k}"] for k in (1, 2, 3)], dim=-1)
    assert (weights.diff(dim=-1) <= 0).all()  # the heaviest first
    assert (weights[:, 1] > 0).any()
    # the parameters stay with their rendering, its noise among them
    x = probes((16, 16))[0].double().expand(50, 3, 16, 16).contiguous()
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=1e-5)
    canonical = op.canonical(raw)
    torch.testing.assert_close(op.apply(x, canonical), op.apply(x, raw), rtol=0, atol=1e-9)


def test_equal_renderings_of_a_mix_are_one() -> None:
    two = {"op": "solarize", "threshold": {"choice": [0.3, 0.6]}, "p": 0.7}
    op = make({"op": "mix", "strength": 0.8, "ops": twin_ops(two, 3)})
    raw = raw_draw(op, 0, 200, (8, 8))
    code, params = carried(op, raw)
    threshold = torch.stack([params[f"twin{k}.threshold"] for k in range(3)], dim=-1)
    weights = torch.stack([params[f"weight_{k}"] for k in (1, 2, 3)], dim=-1)
    used = [row[w > 0].tolist() for row, w in zip(threshold, weights, strict=True)]
    assert all(len(set(row)) == len(row) for row in used)
    assert {len(row) for row in used} == {0, 1, 2}
    drawn = torch.stack([raw[f"weight_{k}"] * raw[f"twin{k - 1}.on"] for k in (1, 2, 3)], dim=-1)
    torch.testing.assert_close(weights.sum(dim=-1), drawn.sum(dim=-1), rtol=0, atol=1e-6)
    assert torch.equal(op.encode(params).float(), code)
    x = probes((8, 8))[0].expand(200, 3, 8, 8).contiguous()
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=1e-5)
    # noise that is alike is not the same noise, and without its seed a code must stay what it is
    noise = {"op": "gaussian_noise", "sigma": 0.1}
    op = make({"op": "mix", "strength": 0.8, "ops": twin_ops(noise, 2)})
    code, params = carried(op, raw_draw(op, 0, 5, (8, 8)))
    assert (params["weight_2"] > 0).all()
    assert torch.equal(op.encode(op.decode(code)).float(), code)


def test_which_of_two_equal_ops_was_chosen_has_no_code() -> None:
    ops = twin_ops(NOISE, 2, {"op": "invert"})
    op = make({"op": "one_of", "weights": [1, 3, 2], "ops": ops})
    raw = raw_draw(op, 1, 80, (16, 16))
    code, params = carried(op, raw)
    assert torch.equal(op.encode(swapped(raw, "twin0", "twin1")).float(), code)
    second = raw["twin1.sigma"] > 0
    assert second.any() and (params["twin1.sigma"] == 0).all()
    assert torch.equal(params["twin0.seed"][second], raw["twin1.seed"][second])
    x = probes((16, 16))[0].expand(80, 3, 16, 16).contiguous()
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=1e-5)


@pytest.mark.parametrize("one", [TURN, SHADE, NOISE], ids=lambda one: one["op"])
def test_equal_ops_are_named_in_the_order_in_which_they_come(one: Document) -> None:
    ops = twin_ops(one, 2, {"op": "brightness", "factor": [0.5, 1.5], "p": 0.5})
    op = make({"op": "random_order", "ops": ops})
    assert isinstance(op, Combinator)
    raw = raw_draw(op, 2, 120, (16, 16))
    codec = op.own_parameters()[0].codec
    order = codec.permutation(raw["order"])  # type: ignore[attr-defined]
    renamed = torch.where(order < 2, 1 - order, order)
    other = swapped(raw, "twin0", "twin1") | {"order": codec.index(renamed)}  # type: ignore[attr-defined]
    code, params = carried(op, raw)
    assert torch.equal(carried(op, other)[0], code)
    assert (code[:, 0] >= 0).all()  # twin 0 comes first, where both act
    assert (code[:, 0] > 0).any()
    acts = op.acting(params)
    assert not (acts[1] & ~acts[0]).any()
    x = probes((16, 16))[0].expand(120, 3, 16, 16).contiguous()
    torch.testing.assert_close(op.apply(x, params), op.apply(x, raw), rtol=0, atol=1e-5)


def test_what_acts_moves_past_what_it_commutes_with_and_no_further() -> None:
    """Of two equal ops in a list, the second alone is the first, unless something shows it."""
    gamma = {"op": "gamma", "gamma": {"choice": [0.5, 2.0]}, "p": 0.5}
    between = [{"op": "vertical_flip", "p": 0.5}, {"op": "solarize", "p": 0.5}]
    op = make({"op": "sequence", "ops": [{**gamma, "id": "a"}, *between, {**gamma, "id": "b"}]})
    raw = raw_draw(op, 0, 200, (8, 8))
    _, params = carried(op, raw)
    drawn_a, drawn_b = raw["a.gamma"] != 1, raw["b.gamma"] != 1
    shown = raw["solarize.on"] > 0
    only_b = drawn_b & ~drawn_a
    moved = only_b & ~shown
    torch.testing.assert_close(params["a.gamma"][moved], raw["b.gamma"][moved], rtol=1e-6, atol=0)
    assert (params["a.gamma"][only_b & shown] == 1).all()
    assert (only_b & shown).any() and (only_b & ~shown).any()
    # of two that both act, the smaller one first, where nothing in between forbids it
    both = drawn_a & drawn_b
    assert (params["a.gamma"] <= params["b.gamma"])[both & ~shown].all()
    assert (params["a.gamma"] > params["b.gamma"])[both & shown].any()


def test_times_that_commute_have_no_order() -> None:
    """Boxes that are erased: which came first, no image shows."""
    op = make({"op": "repeat", "times": 2, "ops": [{"op": "erase", "p": 0.8}]})
    raw = raw_draw(op, 0, 60, (16, 16))
    assert torch.equal(op.encode(swapped(raw, "1", "2")), op.encode(raw))
    noise = make({"op": "repeat", "times": 2, "ops": [{"op": "solarize", "threshold": [0, 1]}]})
    raw = raw_draw(noise, 0, 60, (16, 16))
    assert not torch.equal(noise.encode(swapped(raw, "1", "2")), noise.encode(raw))


def test_an_order_that_no_image_shows_has_no_code() -> None:
    document = {
        "op": "random_order",
        "ops": [
            {"op": "horizontal_flip"},
            {"op": "grayscale"},
            {"op": "gaussian_blur"},
            {"op": "solarize"},
        ],
    }
    op = make(document)
    assert isinstance(op, Combinator)
    names = op.own_parameters()[0].codec.columns
    code = op.encode(raw_draw(op, 0, 200, (16, 16))).float()
    shown = {name for k, name in enumerate(names) if (code[:, k] != 0).all()}
    never = {name for k, name in enumerate(names) if (code[:, k] == 0).all()}
    assert shown == {"1<3", "2<3"}  # the threshold comes before or after what changes the values
    assert never == set(names) - shown
    assert len(code.unique(dim=0)) > 4


SHUFFLED = [op for op in every_op() if isinstance(op, Combinator)]
SHUFFLED += [make({"op": "mix", "ops": twin_ops(TURN, 3)})]
SHUFFLED += [make({"op": "random_order", "ops": twin_ops(SHADE, 3, {"op": "erase"})})]
SHUFFLED += [make({"op": "sequence", "ops": twin_ops(TURN, 2, {"op": "invert", "p": 0.5})})]
SHUFFLED += [make({"op": "repeat", "times": [0, 3], "ops": [SHADE]})]


@pytest.mark.parametrize("op", SHUFFLED, ids=lambda op: op.model_dump_json(exclude_defaults=True))
def test_no_value_is_read_to_encode_or_to_decode(op: Op) -> None:
    """On the meta device there are none: what would make a host wait for a GPU fails."""
    params = {name: value.to("meta") for name, value in raw_draw(op, 0, 4, (16, 16)).items()}
    code = op.encode(params)
    assert code.device.type == "meta"
    assert all(value.device.type == "meta" for value in op.decode(code).values())


ALWAYS = {**TURN, "p": 1.0}


@pytest.mark.parametrize(
    "op",
    [
        make({"op": "mix", "strength": [0.5, 1], "ops": twin_ops(ALWAYS, 3)}),
        make({"op": "random_order", "ops": twin_ops(ALWAYS, 2, {"op": "brightness"})}),
        make({"op": "repeat", "times": 3, "ops": [{"op": "gamma"}]}),
        make({"op": "sequence", "ops": twin_ops({"op": "gamma"}, 2, {"op": "horizontal_flip"})}),
    ],
    ids=lambda op: op.tag(),
)
def test_gradients_pass_through_exchanges(op: Op) -> None:
    raw = raw_draw(op, 4, 6, (16, 16))
    names = [p.name for p in op.parameters() if p.differentiable]
    leaves = [raw[name].clone().requires_grad_() for name in names]

    def encode(*values: Tensor) -> Tensor:
        return op.encode({**raw, **dict(zip(names, values, strict=True))})

    assert torch.autograd.gradcheck(encode, leaves, eps=1e-7, atol=1e-5)


def test_a_pipeline_replays_what_was_exchanged() -> None:
    """Views are rendered from codes and seeds, whichever of two equal ops drew them."""
    ops = [
        {"op": "mix", "ops": twin_ops({"op": "repeat", "times": 2, "ops": [SHADE]}, 2, NOISE)},
        {"op": "random_order", "ops": twin_ops(NOISE, 2, {"op": "invert", "p": 0.5})},
        {"op": "one_of", "ops": twin_ops(NOISE, 2)},
    ]
    document = {"version": 1, "name": "t", "views": {"v": {"ops": ops}}}
    pipeline = augspec.compile(augspec.loads(json.dumps(document)))
    x = torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    batch = pipeline(x, ids=torch.arange(40), epoch=0)
    params = pipeline.decode(batch.codes, batch.seeds)
    assert torch.equal(pipeline.apply(x, params)["v"], batch.views["v"])
    assert torch.equal(pipeline.encode(params)["v"], batch.codes["v"])
    assert torch.equal(pipeline.encode(pipeline.decode(batch.codes))["v"], batch.codes["v"])
