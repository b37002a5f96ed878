"""Relative codes: what their columns are, the laws of the group part, and what pixels say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from random_specs import Case, Kind, cases
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.io import ImageReadMode, decode_image

import augspec
from augspec import Pipeline
from augspec.codes.action import act, overlap
from augspec.codes.relative import (
    RelativeCode,
    compose,
    element,
    inverse,
    read,
    relative,
)
from augspec.codes.relative_layout import relative_layout
from augspec.compiler.geometry import view_matrix
from augspec.compiler.plan import ViewPlan
from augspec.kernels import group
from augspec.ops.contract import Incoming

B = 8
SIZE = (48, 40)
SPECS = Path(__file__).parents[3] / "specs" / "augmentations"
Document = dict[str, Any]
CROP: Document = {"op": "resized_crop", "size": 32, "area": [0.3, 1.0], "p": 0.9}
FLIP: Document = {"op": "horizontal_flip", "p": 0.5}
TURN: Document = {"op": "rotate", "degrees": [-180, 180]}
TILT: Document = {"op": "perspective", "distortion": 0.4}
JITTER: Document = {"op": "color_jitter", "p": 0.8, "brightness": 0.4, "hue": 0.1}
JITTER |= {"contrast": 0.3, "saturation": 0.4}
BLUR: Document = {"op": "gaussian_blur", "p": 0.5, "kernel": 3}


def compiled(seed: int = 2, **views: list[Document]) -> Pipeline:
    documents: Document = {}
    for name, ops in views.items():
        alone = augspec.loads(json.dumps({**HEAD, "views": {name: {"ops": ops}}}))
        size = known_size(augspec.make_plan(alone).view(name))
        # views of several sizes must say so
        documents[name] = {"ops": ops} | ({"size": list(size)} if size else {})
    spec = augspec.loads(json.dumps({**HEAD, "views": documents}))
    return augspec.compile(spec, seed=seed)


HEAD = {"version": 1, "name": "t"}


def known_size(view: ViewPlan) -> tuple[int, int] | None:
    steps = list(view.placed(None))
    return steps[-1][0].op.outgoing(Incoming(steps[-1][1])).size if steps else None


class Views:
    """A pipeline with one draw of all its views."""

    def __init__(self, pipeline: Pipeline, size: tuple[int, int] = SIZE, batch: int = B) -> None:
        self.pipeline, self.size, self.batch = pipeline, size, batch
        ids = torch.arange(batch)
        seeds = pipeline.seeds(ids, 0, size)
        self.params = pipeline.decode(pipeline.draw(ids, 0, size), seeds)

    def code(self, a: str, b: str, dtype: torch.dtype = torch.float64) -> RelativeCode:
        own = self.params[a], self.params[b]
        views = (a, b)
        return relative(self.pipeline, *own, self.size, views=views, batch=self.batch, dtype=dtype)

    def matrix(self, view: str) -> Tensor:
        own = self.params[view]
        return view_matrix(self.pipeline, own, self.size, view=view, batch=self.batch)


def same(mine: RelativeCode, expected: RelativeCode, error: float) -> None:
    assert mine.layout == expected.layout
    assert mine.layout.hash == expected.layout.hash
    assert torch.equal(mine.straight, expected.straight)
    scale = expected.matrix.abs().amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(mine.matrix / scale, expected.matrix / scale, rtol=0, atol=error)
    bound = expected.code.norm(dim=1, keepdim=True).clamp_min(1) * error
    assert ((mine.code - expected.code).abs() <= bound).all()


# --- layouts ---------------------------------------------------------------------------------


def test_the_layout_says_what_is_a_group_element_and_what_a_difference() -> None:
    pipeline = compiled(a=[CROP, FLIP, JITTER, BLUR], b=[CROP, TURN, JITTER], c=[TILT], d=[JITTER])
    layout = relative_layout(pipeline, ("a", "b"))
    kinds = [(slot.name, slot.kind, slot.only) for slot in layout.slots]
    assert kinds == [
        ("geometry.reflection", "group", None),
        ("geometry.turn", "group", None),
        ("geometry.stretch", "group", None),
        ("geometry.shift", "group", None),
        ("color_jitter.brightness", "difference", None),
        ("color_jitter.contrast", "difference", None),
        ("color_jitter.hue", "difference", None),
        ("color_jitter.order", "difference", None),
        ("color_jitter.saturation", "difference", None),
        ("gaussian_blur.sigma", "difference", "first"),
    ]
    assert layout.group == slice(0, 8)
    assert layout.width == len(layout.column_names) == 20
    assert [slot.start for slot in layout.slots] == [0, 1, 3, 6, 8, 9, 10, 12, 18, 19]
    text = layout.describe()
    assert "a to b: 20 columns" in text
    assert "difference, only a has it" in text
    assert relative_layout(pipeline.plan, ("a", "c")).group == slice(0, 10)
    assert relative_layout(pipeline, ("d", "d")).group == slice(0, 0)
    assert relative_layout(pipeline, ("d", "b")).group == slice(0, 8)
    assert json.loads(json.dumps(layout.document()))["hash"] == layout.hash
    with pytest.raises(KeyError, match="no view 'e'"):
        relative_layout(pipeline, ("a", "e"))


def test_equal_views_have_equal_layouts_under_other_names_and_others_do_not() -> None:
    pipeline = compiled(a=[CROP, JITTER], b=[CROP, JITTER], c=[CROP, BLUR], d=[CROP, JITTER, BLUR])
    hashes = [
        relative_layout(pipeline, pair).hash
        for pair in [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("a", "d"), ("d", "d")]
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[1:])) == 5


def test_slots_that_mean_something_else_are_not_subtracted() -> None:
    """One name, other columns: the order of two ops, and of three."""
    ops = [BLUR, JITTER, {"op": "grayscale", "p": 0.5}]
    pipeline = compiled(
        a=[{"op": "random_order", "ops": ops[:2]}], b=[{"op": "random_order", "ops": ops}]
    )
    layout = relative_layout(pipeline, ("a", "b"))
    own = {slot.name: slot.only for slot in layout.slots}
    assert own["random_order.color_jitter.hue"] is None
    assert own["random_order.grayscale.gray"] == "second"
    orders = [
        (slot.only, len(slot.columns)) for slot in layout.slots if slot.name == "random_order.order"
    ]
    assert sorted(orders) == [("first", 1), ("second", 3)]


def test_the_order_of_a_purely_geometric_group_is_part_of_the_element() -> None:
    turned = [{"op": "random_order", "ops": [TURN, {"op": "translate"}]}]
    mixed = [{"op": "random_order", "ops": [TURN, JITTER]}]
    pipeline = compiled(a=turned, b=mixed)
    names = [slot.name for slot in relative_layout(pipeline, ("a", "b")).differences]
    assert names[0].startswith("random_order.color_jitter")
    assert names[-1] == "random_order.order"
    assert relative_layout(pipeline, ("a", "a")).differences == ()


# --- values ----------------------------------------------------------------------------------


def test_the_group_part_is_zero_for_a_pair_of_equal_geometry_whatever_the_colours() -> None:
    ops = [{**CROP, "share": "views"}, {**TURN, "share": "views"}, JITTER, BLUR]
    views = Views(compiled(a=ops, b=ops))
    code = views.code("a", "b", torch.float32)
    assert code.code.dtype == torch.float32
    assert (code.code[:, :8] == 0).all()
    assert (code.code[:, 8:] != 0).any()
    assert (views.code("a", "a").code == 0).all()
    assert torch.equal(code.matrix, group.identity(code.matrix).expand(B, 3, 3))


def test_differences_are_code_b_less_code_a_and_an_absent_op_is_the_identity() -> None:
    views = Views(compiled(a=[CROP, JITTER, BLUR], b=[JITTER, TURN], c=[]))
    codes = views.pipeline.encode({k: views.params[k] for k in "ab"}, dtype=torch.float64)
    found, layout = views.code("a", "b"), views.pipeline.layouts
    own = {
        name: {slot.name: codes[name][:, slot.slice] for slot in layout[name].slots}
        for name in "ab"
    }
    assert {slot.name for slot in found.layout.differences} >= {"gaussian_blur.sigma"}
    for slot in found.layout.differences:
        zero = torch.zeros(B, len(slot.columns), dtype=torch.float64)
        expected = own["b"].get(slot.name, zero) - own["a"].get(slot.name, zero)
        assert torch.equal(found.code[:, slot.slice], expected)
        assert (expected != 0).any()
    back = views.code("c", "a")
    jitter = layout["a"].columns("color_jitter")
    names = layout["a"].column_names[jitter]
    columns = [back.layout.column_names.index(name) for name in names]
    assert torch.equal(back.code[:, columns], codes["a"][:, jitter])


def test_the_columns_of_simple_pairs() -> None:
    quarter = {"op": "rotate90", "quarters": [1]}
    half = {"op": "resized_crop", "size": 16, "area": 0.25, "aspect": 1.0}
    pipeline = compiled(
        plain=[],
        flipped=[{"op": "horizontal_flip"}],
        turned=[quarter],
        zoomed=[half],
        upside=[{"op": "vertical_flip"}],
    )
    views = Views(pipeline, (32, 32), 2)
    names = relative_layout(pipeline, ("plain", "zoomed")).column_names
    read_off = {
        view: dict(zip(names, views.code("plain", view).code[0].tolist(), strict=True))
        for view in ("flipped", "turned", "zoomed", "upside")
    }

    def only(**columns: float) -> Any:
        full = {name.removeprefix("geometry.").replace(".", "_"): name for name in names}
        return pytest.approx({full[k]: columns.get(k, 0.0) for k in full}, abs=1e-12)

    assert read_off["flipped"] == only(reflection=1)
    assert read_off["turned"] == only(turn_sin=-1, turn_versin=1)  # clockwise is positive
    assert read_off["upside"] == only(reflection=1, turn_versin=2)
    zoomed = read_off["zoomed"]
    assert zoomed["geometry.stretch.x"] == pytest.approx(torch.tensor(2.0).log().item())
    assert zoomed["geometry.stretch.xy"] == 0


def test_upside_down_pairs_of_another_aspect_have_a_code_and_no_logarithm() -> None:
    squeezed = {"op": "resized_crop", "size": 16, "area": 0.5, "aspect": 1.6}
    pipeline = compiled(a=[], b=[squeezed, {"op": "rotate90", "quarters": [2]}], c=[TURN])
    views = Views(pipeline, (32, 32), 4)
    found = views.code("a", "b")
    assert torch.isfinite(found.code).all()
    torch.testing.assert_close(element(found.code, found.layout), found.matrix)
    log, exists = found.log()
    assert not exists.any()
    assert torch.isnan(log).all()
    log, exists = views.code("a", "c").log()
    assert exists.all()
    assert torch.isfinite(log).all()


# --- laws ------------------------------------------------------------------------------------

ALL_KINDS = {
    "a": [CROP, FLIP, JITTER, BLUR],
    "b": [TURN, JITTER, {"op": "resized_crop", "size": 24, "area": [0.4, 1.0]}],
    "c": [{"op": "one_of", "ops": [FLIP, TILT, JITTER]}, BLUR, {"op": "random_crop", "size": 32}],
    "d": [{"op": "elastic", "p": 0.5, "alpha": 8.0, "sigma": 3.0}, FLIP],
    "e": [JITTER],
    "f": [],
}


@settings(max_examples=8)
@given(names=st.lists(st.sampled_from("abcdef"), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_codes_compose_along_chains_of_views_and_are_undone(names: list[str], seed: int) -> None:
    a, b, c = names
    views = Views(compiled(seed, **ALL_KINDS))
    ab, bc, ac = views.code(a, b), views.code(b, c), views.code(a, c)
    same(compose(bc, ab), ac, 1e-9)
    same(inverse(ab), views.code(b, a), 1e-9)
    still = compose(inverse(ab), ab)
    same(still, views.code(a, a), 1e-9)
    cd = views.code(c, "d")
    same(compose(cd, compose(bc, ab)), compose(compose(cd, bc), ab), 1e-9)
    torch.testing.assert_close(
        group.normalized(ab.matrix @ views.matrix(a)), views.matrix(b), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=6)
@given(names=st.sampled_from(["abc", "fab", "bad", "eab", "cae"]), seed=st.integers(0, 99))
def test_codes_say_all_of_it(names: str, seed: int) -> None:
    """Float32 codes alone are enough to compose and to undo, to float32's precision."""
    a, b, c = names
    views = Views(compiled(seed, **ALL_KINDS))
    ab, bc = (views.code(*pair, torch.float32) for pair in ((a, b), (b, c)))
    ab, bc = (read(code.code, code.layout) for code in (ab, bc))
    assert torch.equal(ab.straight[:, 0], torch.full((B,), a != "d"))
    torch.testing.assert_close(ab.matrix, views.code(a, b).matrix, rtol=1e-5, atol=1e-5)
    ac, ba = compose(bc, ab), inverse(ab)
    assert ac.code.dtype == torch.float32
    torch.testing.assert_close(ac.code.double(), views.code(a, c).code, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ba.code.double(), views.code(b, a).code, rtol=1e-4, atol=1e-4)


@settings(max_examples=12)
@given(case=cases(Kind(views=2)))
def test_any_two_views_of_any_spec_have_a_code_that_gives_the_element_back(case: Case) -> None:
    pipeline = case.pipeline()
    views = Views(pipeline, case.size, 5)
    names = list(pipeline.layouts)
    for a, b in [(names[0], names[-1]), (names[-1], names[0])]:
        found = views.code(a, b)
        assert found.code.shape == (5, found.layout.width)
        assert torch.isfinite(found.code).all()
        back = element(found.code, found.layout)
        scale = found.matrix.abs().amax(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(back / scale, found.matrix / scale, rtol=0, atol=1e-6)
        assert found.exact.all() or found.layout.bends
    assert (views.code(names[0], names[0]).code == 0).all()


def test_bending_is_told_sample_by_sample_and_only_of_both_ends() -> None:
    views = Views(compiled(**ALL_KINDS), batch=20)
    bent = views.params["d"]["elastic.alpha"] > 0
    assert 0 < bent.sum() < 20
    found = views.code("a", "d")
    assert torch.equal(found.exact, ~bent)
    assert found.layout.bends == ("d: elastic",)
    assert "leaves out d: elastic" in found.layout.describe()
    through = compose(views.code("d", "b"), found)
    assert through.exact.all()
    assert through.layout.bends == ()
    assert not read(found.code, found.layout).exact.any()


def test_mistakes_are_refused() -> None:
    views = Views(compiled(**ALL_KINDS))
    ab, ca = views.code("a", "b"), views.code("c", "a")
    with pytest.raises(ValueError, match="ends at view 'b', and the second starts at 'c'"):
        compose(ca, ab)
    other = Views(compiled(b=[FLIP], c=[])).code("b", "c")
    with pytest.raises(ValueError, match="the same view of one plan"):
        compose(other, ab)
    with pytest.raises(ValueError, match=r"from 'a' to 'b' must be \(B, 20\), got \(8, 19\)"):
        element(ab.code[:, :-1], ab.layout)
    with pytest.raises(KeyError, match="missing"):
        relative(views.pipeline, {}, {}, SIZE, views=("a", "b"))


def test_gradients_reach_the_parameters_of_both_views() -> None:
    views = Views(compiled(a=[CROP, TILT, JITTER], b=[CROP, TURN, JITTER]), batch=2)
    keys = [
        (view, slot.name)
        for view in "ab"
        for slot in views.pipeline.layouts[view].slots
        if slot.differentiable
    ]
    leaves = [views.params[v][k].clone().mul(0.9).add(0.013).requires_grad_() for v, k in keys]

    def forward(*values: Tensor) -> Tensor:
        own = {view: dict(views.params[view]) for view in "ab"}
        for (view, key), value in zip(keys, values, strict=True):
            own[view][key] = value
        pair = own["a"], own["b"]
        return relative(views.pipeline, *pair, SIZE, views=("a", "b"), dtype=torch.float64).code

    assert torch.autograd.gradcheck(forward, leaves)
    code = forward(*(leaf.detach() for leaf in leaves)).requires_grad_()
    layout = relative_layout(views.pipeline, ("a", "b"))
    assert torch.autograd.gradcheck(lambda c: element(c, layout), (code,))


# --- pixels ----------------------------------------------------------------------------------

SAME: Document = {"op": "color_jitter", "share": "views", "brightness": 0.3, "saturation": 0.4}
"""Without contrast, which is about the mean of what each view shows."""

PAIRS: dict[str, tuple[list[Document], list[Document]]] = {
    "crop and flip": ([CROP | {"size": 96}, FLIP], [CROP | {"size": 96}, FLIP]),
    "rotate": ([TURN], [TURN]),
    "affine": (
        [{"op": "affine", "degrees": [-30, 30], "scale": [0.8, 1.3], "shear_x": [-15, 15]}],
        [{"op": "affine", "degrees": [-30, 30], "translate_x": [-0.1, 0.1]}],
    ),
    "perspective": ([TILT], [TILT]),
    "perspective and crop": ([TILT, CROP | {"size": 96}], [CROP | {"size": 96}, FLIP]),
    "padded crop": (
        [{"op": "random_crop", "size": 100, "padding": 8}],
        [{"op": "random_crop", "size": 100, "padding": 12, "mode": "reflect"}],
    ),
    "quarter turns": ([{"op": "rotate90"}, FLIP], [{"op": "rotate90"}]),
    "random order": (
        [{"op": "random_order", "ops": [TURN, {"op": "translate", "x": [-0.2, 0.2]}]}],
        [{"op": "maybe", "p": 0.7, "ops": [{"op": "shear", "x": [-20, 20]}, FLIP]}],
    ),
    "other sizes": ([CROP | {"size": 96}], [CROP | {"size": [80, 64]}, FLIP]),
    "the original": ([], [CROP | {"size": 96}, FLIP]),
    "equal colours between": (
        [CROP | {"size": 96}, SAME, TURN],
        [TURN | {"degrees": [-20, 20], "id": "other"}, SAME],
    ),
}
EXACT = {"padded crop", "quarter turns"}
"""Pairs that resample nothing: view b is view a, pixel by pixel."""


def waves(size: tuple[int, int], batch: int = B) -> Tensor:
    """Images without detail, and without a symmetry that would hide a wrong map."""
    y = torch.linspace(0, 3, size[0])[:, None]
    x = torch.linspace(0, 4, size[1])[None]
    phase = torch.linspace(0, 1, batch)[:, None, None]
    parts = [(y + x + phase).sin(), (y - 1.3 * x + phase).cos(), (0.7 * x - phase).sin() + 0 * y]
    return 0.5 + 0.3 * torch.stack(parts, dim=1)


@pytest.fixture(scope="module")
def photographs(photos: list[Path]) -> Tensor:
    """Eight photographs, 112 pixels square."""
    found = []
    for path in photos[:: len(photos) // B][:B]:
        image = decode_image(str(path), ImageReadMode.RGB).float() / 255
        image = TF.resize(image, [128], antialias=True)
        found.append(TF.center_crop(image, [112, 112]))
    return torch.stack(found)


def psnr(mine: Tensor, expected: Tensor, where: Tensor) -> Tensor:
    """In dB, over the pixels of the mask; 120 where all are equal."""
    error = ((mine - expected).square() * where).sum(dim=(1, 2, 3))
    mean = error / (where.sum(dim=(1, 2, 3)) * mine.shape[1])
    return -10 * mean.clamp_min(1e-12).log10()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["waves", "photographs"])
def test_view_a_warped_by_the_relative_element_is_view_b_where_both_see_the_scene(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    x = waves((112, 112)) if kind == "waves" else request.getfixturevalue("photographs")
    pipeline = compiled(1, a=PAIRS[name][0], b=PAIRS[name][1])
    batch = pipeline(x, ids=torch.arange(B), epoch=0)
    own = batch.params["a"], batch.params["b"]
    found = relative(pipeline, *own, (112, 112), views=("a", "b"))
    both = overlap(pipeline, *own, (112, 112), views=("a", "b"))
    view, size = batch.views["b"], (batch.views["b"].shape[-2], batch.views["b"].shape[-1])
    seen = both.flatten(1).sum(dim=1) > 200
    assert seen.sum() >= B - 1

    def agreement(matrix: Tensor) -> Tensor:
        moved, _ = act(batch.views["a"], matrix, size=size)
        return psnr(moved, view, both)[seen]

    mine = agreement(found.matrix)
    assert mine.min() > (119 if name in EXACT else 55 if kind == "waves" else 25)
    assert mine.median() > (60 if kind == "waves" else 30)
    torch.testing.assert_close(agreement(element(found.code, found.layout)), mine, rtol=0, atol=0.5)
    # what undoes a map is another map, unless it is a flip or a half turn
    wrong = group.inverse(found.matrix)
    other = (wrong - found.matrix).abs().amax(dim=(1, 2))[seen] > 0.1
    assert other.any()
    for matrix in (wrong, group.identity(wrong).expand_as(wrong)):
        apart = (matrix - found.matrix).abs().amax(dim=(1, 2))[seen] > 0.1
        assert agreement(matrix)[apart].max() < 27
        assert (mine - agreement(matrix))[apart].min() > 10


@pytest.mark.parametrize("spec", ["simclr-cifar10", "essl-cifar10", "randaugment-imagenet"])
def test_views_of_published_recipes_agree_where_colours_are_set_aside(spec: str) -> None:
    """The geometry of the recipes' own draws, rendered without their colour ops."""
    n, size = 4, (64, 64)
    pipeline = augspec.load_pipeline(SPECS / f"{spec}.yaml", seed=4)
    params = pipeline.decode(pipeline.draw(torch.arange(n), 0, size))
    a, b = ("first", "turned_3") if spec.startswith("essl") else ("first", "second")
    still = {}
    for name in (a, b):
        view = pipeline.plan.view(name)
        zero = pipeline.decode({name: torch.zeros(n, view.layout.width)})[name]
        colours = {slot.name for slot in relative_layout(pipeline, (name, name)).differences}
        still[name] = {k: zero[k] if k in colours else v for k, v in params[name].items()}
        assert any((zero[k] != params[name][k]).any() for k in colours)
    views = pipeline.apply(waves(size, n), still)
    found = relative(pipeline, params[a], params[b], size, views=(a, b))
    plain = relative(pipeline, still[a], still[b], size, views=(a, b))
    assert torch.equal(found.matrix, plain.matrix)
    both = overlap(pipeline, still[a], still[b], size, views=(a, b))
    out = (views[b].shape[-2], views[b].shape[-1])
    moved, _ = act(views[a], found.matrix, size=out)
    wrong, _ = act(views[a], group.inverse(found.matrix), size=out)
    seen = both.flatten(1).sum(dim=1) > 40
    assert seen.sum() >= 3
    # a view of 16 pixels averages over many; nearest pixels, as RandAugment takes them, are half a
    # pixel off
    mine, theirs = (psnr(v, views[b], both)[seen] for v in (moved, wrong))
    assert mine.min() > (30 if spec.startswith("rand") else 38)
    assert theirs.median() < 25
    assert (mine - theirs).min() > 10


@pytest.mark.parametrize("pair", ["ab", "fa", "cd", "ga", "ef"])
def test_nothing_leaves_the_device_of_the_parameters_nor_asks_what_is_on_it(pair: str) -> None:
    """On a GPU that is only pretended: tensors of two devices, and reading a value, are errors."""
    shrunk: list[Document] = [{"op": "resize", "size": [32, 32]}, {"op": "pad", "padding": 2}]
    views = Views(compiled(**ALL_KINDS, g=shrunk))
    with FakeTensorMode():
        there = {
            name: {k: torch.rand(B, dtype=torch.float64, device="cuda") for k in own}
            for name, own in views.params.items()
        }
        own = there[pair[0]], there[pair[1]]
        found = relative(views.pipeline, *own, SIZE, views=(pair[0], pair[1]))
        undone = compose(inverse(found), read(found.code, found.layout))
        both = overlap(views.pipeline, *own, SIZE, views=(pair[0], pair[1]))
        moved, visible = act(torch.rand(B, 4, 7, 7, device="cuda"), found.matrix)
        for tensor in (found.code, found.exact, *found.log(), undone.code, both, moved, visible):
            assert tensor.device.type == "cuda"


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    views = Views(compiled(**ALL_KINDS))
    there = {name: {k: v.cuda() for k, v in own.items()} for name, own in views.params.items()}

    def run(pair: str) -> RelativeCode:
        own = there[pair[0]], there[pair[1]]
        return relative(views.pipeline, *own, SIZE, views=(pair[0], pair[1]))

    for pair in ("ab", "fa", "cd"):
        run(pair)
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = run(pair)
            undone = compose(inverse(found), found)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        expected = views.code(pair[0], pair[1], torch.float32)
        torch.testing.assert_close(found.code.cpu(), expected.code, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(undone.code.cpu(), torch.zeros(undone.code.shape))
