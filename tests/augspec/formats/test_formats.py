"""The contract of formats: widths, identities, gradients, names, and views that do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from released_draws import (
    BLUR,
    CROP,
    FLIP,
    GRAY,
    JITTER,
    QUARTERS,
    SOLARIZE,
    drawn,
    pipeline_of,
)

import augspec
from augspec.formats import FORMATS, FormatError, encode_as, format_columns, named, registry
from augspec.formats.cassle import Cassle
from augspec.formats.codecs import Positions, Switched
from augspec.formats.difference import Difference

ALL = [CROP, FLIP, JITTER, GRAY, BLUR, SOLARIZE]
PLAIN = [CROP, FLIP, JITTER, GRAY]
SIZE = (30, 40)


def vectors(name: str, pipeline: augspec.Pipeline, count: int, seed: int = 0, **options):  # type: ignore[no-untyped-def]
    ids = torch.arange(seed, seed + count)
    params = pipeline.decode(pipeline.draw(ids, 0, SIZE))
    images = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))
    return encode_as(name, pipeline, params, SIZE, images=images, **options)


def off(*ops: dict) -> list[dict]:
    return [{**op, "p": 0} for op in ops]


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=8)
@given(count=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_a_vector_is_as_wide_as_its_columns_whatever_is_drawn(
    name: str, count: int, seed: int
) -> None:
    pipeline = pipeline_of(first=ALL, second=ALL)
    for names, found in vectors(name, pipeline, count, seed).items():
        columns = format_columns(name, pipeline.plan, *names.split(","))
        assert found.shape == (count, len(columns))
        assert len({column.name for column in columns}) == len(columns)
        assert found.dtype == torch.float32 and found.isfinite().all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("equimod", [0, 0, 30, 40, 0, 0, 0, 1, 2, 3, 1, 1, 1, 0, 0, 0, 0, 0]),
        ("augself", [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
        ("cassle", [0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.5, 1, 1, 0]),
        ("difference", [0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_identity(name: str, expected: list[float]) -> None:
    pipeline = pipeline_of(first=off(*ALL), second=off(*ALL))
    found = vectors(name, pipeline, 3)
    for value in found.values():
        assert torch.equal(value, torch.tensor([expected]).float().expand(3, -1))


def test_an_order_that_nobody_sees_is_written_in_one_way() -> None:
    """A neutral hue has no place in the order, and so comes last."""
    pipeline = pipeline_of(view=[CROP, FLIP, {**JITTER, "hue": 0, "p": 1}, GRAY])
    order = vectors("equimod", pipeline, 64)["view"][:, 6:10]
    assert (order[:, 3] == 3).all()
    assert len(order[:, :3].unique(dim=0)) == 6


@pytest.mark.parametrize("name", ["equimod", "cassle", "augself", "difference"])
def test_gradients_reach_what_they_can(name: str) -> None:
    # gates open: a sigma of zero, and a sequence of zeros, are where columns jump
    ops = [{**op, "p": 1} if op in (JITTER, BLUR) else op for op in ALL]
    pipeline = pipeline_of(first=ops, second=ops)
    _, params = drawn(pipeline, [SIZE] * 2, seed=1)
    free = [
        (view, key)
        for view in params
        for key in params[view]
        if key.split(".")[1] not in ("order", "flip", "gray", "on", "threshold")
    ]
    shifted = {v: dict(own) for v, own in params.items()}
    # off the pixel grid, where a box is what it is
    box = {"center_y": 0.4817, "center_x": 0.5177, "height": 0.5137, "width": 0.6161}
    for own in shifted.values():
        for side, value in box.items():
            own[f"resized_crop.{side}"] = torch.full((2,), value, dtype=torch.float64)
    leaves = [shifted[v][k].clone().requires_grad_() for v, k in free]

    def write(*values: torch.Tensor) -> torch.Tensor:
        given = {v: dict(own) for v, own in shifted.items()}
        for (view, key), value in zip(free, values, strict=True):
            given[view][key] = value
        form = Cassle(("blur", "color", "crop")) if name == "cassle" else name
        found = encode_as(form, pipeline, given, SIZE, dtype=torch.float64)
        return torch.cat(list(found.values()), dim=-1)

    assert torch.autograd.gradcheck(write, leaves, eps=1e-7, atol=1e-4)


def test_a_gradient_passes_through_the_rounding_to_whole_pixels() -> None:
    pipeline = pipeline_of(view=PLAIN)
    _, params = drawn(pipeline, [SIZE] * 4)
    height = params["view"]["resized_crop.height"].requires_grad_()
    found = encode_as("equimod", pipeline, params, SIZE)["view"]
    assert torch.equal(found[:, 2], found[:, 2].round())
    found[:, 2].sum().backward()
    assert torch.equal(height.grad, torch.full((4,), 30.0, dtype=torch.float64))


def test_a_box_off_the_grid_is_not_moved_onto_it() -> None:
    pipeline = pipeline_of(view=PLAIN)
    _, params = drawn(pipeline, [(30, 40)] * 2)
    params["view"]["resized_crop.center_y"][:] = 0.5
    params["view"]["resized_crop.height"][:] = 0.51
    found = encode_as("equimod", pipeline, params, SIZE)["view"]
    torch.testing.assert_close(found[:, 2], torch.full((2,), 15.3))
    torch.testing.assert_close(found[:, 0], torch.full((2,), 7.35))


def test_the_size_of_each_image_counts() -> None:
    pipeline = pipeline_of(view=PLAIN)
    _, params = drawn(pipeline, [SIZE] * 3)
    sizes = torch.tensor([[30, 40], [60, 40], [30, 120]])
    one, tall, wide = encode_as("equimod", pipeline, params, sizes)["view"]
    same = encode_as("equimod", pipeline, params, SIZE)["view"]
    assert torch.equal(one, same[0])
    assert torch.equal(tall[[0, 2]], 2 * same[1, [0, 2]]) and torch.equal(tall[1], same[1, 1])
    assert torch.equal(wide[[1, 3]], 3 * same[2, [1, 3]]) and torch.equal(wide[0], same[2, 0])


def test_codecs_write_zeros_for_the_identity_and_read_nothing() -> None:
    for codec in (Switched(), Positions(4)):
        zero = codec.encode(torch.zeros(2, dtype=torch.float64))
        assert torch.equal(zero, torch.zeros(2, codec.width, dtype=torch.float64))
        with pytest.raises(NotImplementedError, match=codec.name):
            codec.decode(zero)


BAD: list[tuple[str, dict[str, list[dict]], str]] = [
    (
        "equimod",
        {"first": [*PLAIN, {"op": "rotate"}]},
        r"format equimod has no columns for rotate \(views.first.ops.rotate\); it knows "
        r"resized_crop, horizontal_flip, color_jitter, grayscale, gaussian_blur, solarize, in this",
    ),
    ("equimod", {"a": [CROP, JITTER, FLIP, GRAY]}, "needs horizontal_flip before color_jitter"),
    ("equimod", {"a": [FLIP, CROP, JITTER, GRAY]}, "needs resized_crop before horizontal_flip"),
    (
        "equimod",
        {"a": [CROP, JITTER, GRAY]},
        r"needs horizontal_flip, .*\{op: horizontal_flip, p: 0\}",
    ),
    ("equimod", {"a": [*PLAIN, {**GRAY, "id": "more"}]}, "two: grayscale and more"),
    (
        "equimod",
        {"a": [CROP, FLIP, {"op": "maybe", "ops": [JITTER]}, GRAY]},
        "no columns for maybe .*color_jitter must stand outside of maybe",
    ),
    ("equimod", {"a": [{"op": "resize"}, *PLAIN]}, "no columns for resize"),
    ("augself", {"a": PLAIN}, "compares two views, and there are not two"),
    ("augself", {"a": PLAIN, "b": [*PLAIN, BLUR]}, "b has gaussian_blur, and a has not"),
    ("augself", {"a": [FLIP, CROP], "b": [FLIP, CROP]}, "needs resized_crop before horizontal_fl"),
    ("augself", {"a": [CROP], "b": [CROP]}, "needs horizontal_flip"),
    (
        "augself",
        {v: [CROP, FLIP, {**JITTER, "contrast": [1.4, 1.4]}] for v in "ab"},
        "contrast in widths of its range, and color_jitter always draws 1.4",
    ),
    ("cassle", {"a": [FLIP]}, "needs resized_crop"),
    ("cassle", {"a": [CROP, {"op": "hue", "shift": 0.1}]}, "no columns for hue"),
    ("difference", {"a": PLAIN, "b": [*PLAIN, BLUR]}, "same ops: a has .*hue, and b has .*sigma"),
    ("difference", {"a": [CROP], "b": PLAIN}, "format difference needs horizontal_flip"),
]


@pytest.mark.parametrize(("name", "views", "message"), BAD, ids=range(len(BAD)))
def test_views_that_cannot_be_written(
    name: str, views: dict[str, list[dict]], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        vectors(name, pipeline_of(**views), 2)


def test_requests_that_make_no_sense() -> None:
    pipeline = pipeline_of(first=PLAIN, second=PLAIN)
    with pytest.raises(FormatError, match="unknown format 'equi-mood'; did you mean 'equimod'"):
        vectors("equi-mood", pipeline, 2)
    with pytest.raises(FormatError, match="no view 'frist'; did you mean 'first'"):
        vectors("equimod", pipeline, 2, views=["frist"])
    with pytest.raises(FormatError, match="no key 'colour'"):
        Cassle(("colour",))  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="key 'blur' needs gaussian_blur, which view first"):
        vectors(Cassle(("blur",)), pipeline, 2)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="about 2 views at a time, got first"):
        format_columns("augself", pipeline.plan, "first")
    with pytest.raises(FormatError, match="about 1 view at a time"):
        format_columns("equimod", pipeline.plan, "first", "second")
    params = pipeline.decode(pipeline.draw(torch.arange(2), 0, SIZE))
    with pytest.raises(FormatError, match=r"compares pixels for color_diff\.0.*needs the images"):
        encode_as("cassle", pipeline, params, SIZE)
    with pytest.raises(FormatError, match="no parameters of view second"):
        encode_as("equimod", pipeline, {"first": params["first"]}, SIZE)
    with pytest.raises(FormatError, match=r"sizes must be \(2, 2\), got \(3, 2\)"):
        encode_as("equimod", pipeline, params, torch.ones(3, 2))
    del params["first"]["color_jitter.hue"]
    with pytest.raises(FormatError, match=r"'color_jitter\.hue' of view first is missing"):
        encode_as("equimod", pipeline, params, SIZE)
    still = pipeline_of(original=[])
    with pytest.raises(FormatError, match="no view of made draws anything"):
        encode_as("equimod", still, {}, SIZE)


def test_what_leaves_no_trace() -> None:
    """AugSelf has no column for grayscale, and CASSLE none for solarize and quarter turns."""
    square = {**CROP, "size": 24}
    pipeline = pipeline_of(
        a=[square, FLIP, SOLARIZE, QUARTERS], b=[square, FLIP, SOLARIZE, QUARTERS]
    )
    assert vectors("cassle", pipeline, 2)["a"].shape == (2, 4)
    names = [c.name for c in format_columns("augself", pipeline.plan, "a", "b")]
    assert names[4:] == ["flip", "rot", "sol"]
    flipless = pipeline_of(a=[CROP, GRAY])
    found = vectors(Cassle(("flip", "grayscale")), flipless, 4)["a"]  # type: ignore[arg-type]
    assert torch.equal(found[:, 0], torch.zeros(4))  # as `extract_aug_descriptors` has it


def test_a_jitter_that_never_changes_the_hue_has_a_column_of_zeros() -> None:
    ops = [CROP, FLIP, {**JITTER, "hue": 0, "p": 1}]
    found = vectors("augself", pipeline_of(a=ops, b=ops), 8)["a,b"]
    assert torch.equal(found[:, 7], torch.zeros(8)) and (found[:, 4:7] != 0).all()


def test_views_and_their_order_can_be_chosen() -> None:
    pipeline = pipeline_of(original=[], a=PLAIN, b=PLAIN, c=PLAIN)
    assert list(vectors("equimod", pipeline, 2)) == ["a", "b", "c"]
    assert len(vectors("augself", pipeline, 2)) == 6
    assert list(vectors("difference", pipeline, 2, views=["c", "a"])) == ["c,a"]
    plain = Difference(normalize=False)
    there = vectors(plain, pipeline, 5, views=["a", "b"])["a,b"]  # type: ignore[arg-type]
    back = vectors(plain, pipeline, 5, views=["b", "a"])["b,a"]  # type: ignore[arg-type]
    torch.testing.assert_close(there, -back)


def test_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(FORMATS) == ["augself", "cassle", "difference", "equimod"]
    assert named("equimod") is FORMATS["equimod"]
    for form in FORMATS.values():
        assert form.title and "arXiv" in form.paper and "/" in form.code
    (tmp_path / "flips_only.py").write_text(
        "from augspec.formats.contract import Format, FormatColumn\n"
        "from augspec.formats.parts import alone\n"
        "class FlipsOnly(Format):\n"
        "    name, title, paper, code, kind = 'flips', 'flips', 'none', 'none', 'view'\n"
        "    def columns(self, group):\n"
        "        step = [s for s in group[0].steps if s.op.tag() == 'horizontal_flip'][0]\n"
        "        return (FormatColumn('flip', '0 or 1', alone(step, 'flip')),)\n"
    )
    package = registry.package
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    try:
        found = registry._discover()
        assert "flips" in found
        written = vectors(found["flips"], pipeline_of(view=[FLIP]), 16)["view"]  # type: ignore[arg-type]
        assert written.shape == (16, 1) and written.unique().tolist() == [0.0, 1.0]
    finally:
        sys.modules.pop("augspec.formats.flips_only", None)


def test_columns_are_known_without_torch(root: Path) -> None:
    code = (
        "import sys, augspec\n"
        "from augspec.formats import FORMATS, format_columns\n"
        "plan = augspec.make_plan(augspec.load('specs/augmentations/byol-cifar10.yaml'))\n"
        "assert len(format_columns('equimod', plan, 'first')) == 18\n"
        "assert len(format_columns('augself', plan, 'first', 'second')) == 11\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_waits_for_values(name: str) -> None:
    """Tensors of the meta device have none: whoever asks for one gets an error."""
    pipeline = pipeline_of(first=ALL, second=ALL)
    params = pipeline.decode(pipeline.draw(torch.arange(3), 0, SIZE))
    empty = {v: {k: x.to("meta") for k, x in own.items()} for v, own in params.items()}
    form = Cassle(("blur", "color", "crop")) if name == "cassle" else named(name)
    for size in (SIZE, torch.tensor([SIZE] * 3)):
        for found in encode_as(form, pipeline, empty, size).values():
            assert found.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.parametrize("name", FORMATS)
def test_a_gpu_gives_the_same_without_being_waited_for(name: str) -> None:
    pipeline = pipeline_of(first=ALL, second=ALL)
    params = pipeline.decode(pipeline.draw(torch.arange(64), 0, SIZE))
    there = {v: {k: x.cuda() for k, x in own.items()} for v, own in params.items()}
    form = Cassle(("blur", "color", "crop")) if name == "cassle" else named(name)
    encode_as(form, pipeline, there, SIZE)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = encode_as(form, pipeline, there, SIZE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for key, value in encode_as(form, pipeline, params, SIZE).items():
        torch.testing.assert_close(found[key].cpu(), value, rtol=0, atol=1e-6)
