"""What a predictor reads: which columns, in which encoding, how scaled, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

import augspec
from augspec import Pipeline, Spec
from equimod import EquiMod, EquiModConfig
from equimod.code_columns import CodesConfig, CodesError
from equimod.codes import CodeReader

CROP: dict[str, Any] = {"op": "resized_crop", "size": 16, "area": [0.4, 1.0]}
FLIP: dict[str, Any] = {"op": "horizontal_flip", "p": 0.5}
STRENGTHS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
JITTER: dict[str, Any] = {"op": "color_jitter", "p": 0.8, **STRENGTHS, "hue": 0.1}
GRAY: dict[str, Any] = {"op": "grayscale", "p": 0.2}
RELEASED = (CROP, FLIP, JITTER, GRAY)
VIEWS = ("first", "second")
SIZE = (16, 16)


def spec(*ops: dict[str, Any]) -> Spec:
    views = {"original": {"ops": []}, **{name: {"ops": [*ops]} for name in VIEWS}}
    return augspec.loads(json.dumps({"version": 1, "name": "t", "views": views}))


def reader(pipeline: Pipeline, pair: bool = False, **config: Any) -> CodeReader:
    codes = CodesConfig(**config)
    return CodeReader.make(codes, pipeline, reference="original", views=VIEWS, pair=pair)


def drawn(pipeline: Pipeline, n: int = 64) -> tuple[Tensor, dict[str, Tensor]]:
    ids = torch.arange(n)
    images = torch.randint(0, 256, (n, 3, *SIZE), dtype=torch.uint8)
    return images, pipeline.draw(ids, 0, SIZE)


def test_the_default_is_the_canonical_code_itself() -> None:
    pipeline = augspec.compile(spec(*RELEASED))
    _, codes = drawn(pipeline)
    own = reader(pipeline)
    assert [c is codes[v] for c, v in zip(own.batch(codes, SIZE), VIEWS, strict=True)] == [True] * 2
    assert own.columns.layout == pipeline.layouts["first"]


@pytest.mark.parametrize(
    ("ops", "ids"),
    [
        (["colour"], ["color_jitter", "grayscale"]),
        (["crop"], ["resized_crop"]),
        (["geometry"], ["resized_crop", "horizontal_flip"]),
        (["grayscale", "crop"], ["resized_crop", "grayscale"]),
        (["color_jitter"], ["color_jitter"]),
    ],
)
def test_ops_leaves_out_the_columns_of_the_others(ops: list[str], ids: list[str]) -> None:
    pipeline = augspec.compile(spec(*RELEASED))
    _, codes = drawn(pipeline)
    own, full = reader(pipeline, ops=ops), pipeline.layouts["first"]
    expected = torch.cat([codes["first"][:, full.columns(op)] for op in ids], dim=1)
    assert torch.equal(own.batch(codes, SIZE)[0], expected)
    layout = own.columns.layout
    assert layout.ops == tuple(ids) and layout.width == expected.shape[1]
    assert layout.slots[0].start == 0
    names = [n for op in ids for n in full.column_names[full.columns(op)]]
    assert list(layout.column_names) == names


def test_ids_and_ops_inside_combinators() -> None:
    inside = {"op": "random_order", "ops": [{**GRAY, "id": "gray"}, JITTER]}
    pipeline = augspec.compile(spec(CROP, inside))
    order = "random_order.order"
    for ops in (["colour"], ["random_order"], ["random_order.gray", "color_jitter"]):
        layout = reader(pipeline, ops=ops).columns.layout
        assert set(layout.ops) == {"random_order", "random_order.gray", "random_order.color_jitter"}
        assert order in [slot.name for slot in layout.slots]
    alone = reader(pipeline, ops=["grayscale"]).columns.layout
    assert alone.ops == ("random_order.gray",)  # an order of one op says nothing


@pytest.mark.parametrize(
    ("config", "pair", "path", "message"),
    [
        ({"ops": ["grayscal"]}, False, ("ops", 0), "no op 'grayscal'; did you mean 'grayscale'"),
        ({"ops": ["crop", "color"]}, False, ("ops", 1), "no op 'color'; did you mean 'colour'"),
        ({"ops": ["solarize"]}, False, ("ops", 0), "groups: colour, crop, geometry"),
        ({"ops": ["crop"]}, True, ("ops",), "name 'geometry', or none of horizontal_flip"),
        ({"ops": ["grayscale"], "encoding": "difference"}, True, ("ops",), "no column"),
    ],
)
def test_names_that_the_spec_does_not_have(config, pair, path, message: str) -> None:
    with pytest.raises(CodesError, match=message) as error:
        reader(augspec.compile(spec(*RELEASED)), pair, **config)
    assert error.value.path == path


def test_a_view_that_a_format_cannot_write() -> None:
    with pytest.raises(CodesError, match="format equimod needs grayscale") as error:
        reader(augspec.compile(spec(CROP, FLIP, JITTER)), encoding="equimod")
    assert error.value.path == ("encoding",)


@pytest.mark.parametrize("form", ["equimod", "cassle"])
def test_published_formats_of_one_view(form: str) -> None:
    pipeline = augspec.compile(spec(*RELEASED))
    images, codes = drawn(pipeline)
    params = pipeline.decode(codes)
    theirs = augspec.encode_as(form, pipeline, params, SIZE, images=images)
    own = reader(pipeline, encoding=form)
    for mine, view in zip(own.batch(codes, SIZE, images), VIEWS, strict=True):
        assert torch.equal(mine, theirs[view])
        assert torch.equal(own.one(view, codes[view], SIZE, images), theirs[view])
    names = [c.name for c in augspec.format_columns(form, pipeline.plan, "first")]
    assert list(own.columns.layout.column_names) == [f"{form}.{name}" for name in names]
    part = reader(pipeline, encoding=form, ops=["color_jitter"])
    kept = [
        k
        for k, n in enumerate(names)
        if n in ("jitter", "op_1", "op_2", "op_3", "op_4")
        or n.removeprefix("color.") in ("brightness", "contrast", "saturation", "hue")
    ]
    assert torch.equal(part.batch(codes, SIZE, images)[0], theirs["first"][:, kept])


def test_codes_of_a_pair_lead_from_the_other_view() -> None:
    pipeline = augspec.compile(spec(*RELEASED))
    _, codes = drawn(pipeline)
    params = pipeline.decode(codes)
    forth = augspec.relative(pipeline, params["first"], params["second"], SIZE, views=VIEWS)
    own = reader(pipeline, pair=True)
    to_first, to_second = own.batch(codes, SIZE)
    assert torch.equal(to_second, forth.code)
    torch.testing.assert_close(to_first, augspec.inverse(forth).code, rtol=0, atol=1e-5)
    assert own.columns.layout.column_names == forth.layout.column_names
    part = reader(pipeline, pair=True, ops=["geometry"])
    assert torch.equal(part.batch(codes, SIZE)[1], forth.code[:, forth.layout.group])

    pairs = augspec.encode_as("augself", pipeline, params, SIZE, views=VIEWS)
    to_first, to_second = reader(pipeline, pair=True, encoding="augself").batch(codes, SIZE)
    assert torch.equal(to_first, pairs["second,first"])
    assert torch.equal(to_second, pairs["first,second"])


@pytest.mark.parametrize("encoding", ["canonical", "augself", "difference"])
def test_a_pair_is_measured_from_a_view_on_which_nothing_acted(encoding: str) -> None:
    pipeline = augspec.compile(spec(*RELEASED))
    _, codes = drawn(pipeline)
    own = reader(pipeline, pair=True, encoding=encoding)
    one = own.one("second", codes["second"], SIZE)
    from_nothing = {"first": torch.zeros_like(codes["first"]), "second": codes["second"]}
    torch.testing.assert_close(one, own.batch(from_nothing, SIZE)[1], rtol=0, atol=1e-6)
    if encoding == "canonical":
        assert own.identity(SIZE).abs().max() == 0


@pytest.mark.parametrize(
    ("encoding", "pair"),
    [("canonical", False), ("canonical", True), ("equimod", False), ("augself", True)],
)
def test_standardised_columns_have_mean_0_and_deviation_1(encoding: str, pair: bool) -> None:
    document = spec(*RELEASED)
    pipeline = augspec.compile(document, seed=7)
    own = reader(pipeline, pair, encoding=encoding, standardise="spec")
    shift, scale = own.scaling(document, SIZE, from_identity=False)
    codes = pipeline.draw(torch.arange(20_000), 3, SIZE)
    both = (torch.cat(own.batch(codes, SIZE)).double() - shift) / scale
    assert both.mean(0).abs().max() < 0.03
    varies = both.std(0) > 0
    assert (both.std(0)[varies] - 1).abs().max() < 0.03
    from_nothing, same = own.scaling(document, SIZE, from_identity=True)
    assert torch.equal(same, scale)
    zero = torch.zeros(1, codes["first"].shape[1])
    torch.testing.assert_close(own.one("first", zero, SIZE)[0].double(), from_nothing)


def test_moments_that_do_not_follow_from_the_spec() -> None:
    document = spec(*RELEASED)
    with pytest.raises(CodesError, match=r"color_diff.0, .* follow from pixels") as error:
        reader(augspec.compile(document), encoding="cassle", standardise="spec")
    assert error.value.path == ("standardise",)
    own = reader(
        augspec.compile(document), encoding="cassle", standardise="spec", ops=["color_jitter"]
    )
    assert own.scaling(document, SIZE, from_identity=False)[1].min() > 0
    with pytest.raises(CodesError, match="size of the images, which differs"):
        own.scaling(document, None, from_identity=False)


@pytest.mark.parametrize("predictor", ["affine", "residual"])
def test_a_scaled_head_reads_the_codes_of_another_spec(predictor: Any) -> None:
    """A column that is gone counts as zero before it is scaled, so the prediction is the same."""
    document = spec(*RELEASED)
    pipeline, other = augspec.compile(document), augspec.compile(spec(JITTER, CROP))
    own, theirs = reader(pipeline, standardise="spec"), reader(other)
    torch.manual_seed(0)
    width = own.columns.layout.width
    equimod = EquiMod(8, width, hidden=8, dim=6, predictor=predictor, scaled=True).eval()
    assert equimod.scaling is not None
    scales = own.scaling(document, SIZE, from_identity=equimod.predictor.from_identity)
    equimod.scaling.set(*scales)
    slots = augspec.slot_map(own.columns.layout, theirs.columns.layout)
    code = drawn(other)[1]["first"]
    whole = torch.zeros(len(code), width)
    for source, target in slots.kept:
        whole[:, source.slice] = code[:, target.slice]
    y0 = torch.randn(len(code), 6)
    found = equimod.reading(slots).predict(y0, code)
    torch.testing.assert_close(found, equimod.predict(y0, whole))
    assert not torch.allclose(found, equimod.predict(y0, 0 * whole))


def test_the_identity_displaces_nothing_in_a_published_format() -> None:
    config = EquiModConfig(predictor="film", codes={"encoding": "equimod"})  # type: ignore[arg-type]
    pipeline = augspec.compile(spec(*RELEASED))
    own = reader(pipeline, encoding="equimod")
    equimod = config.build(8, own.columns.layout.width)
    assert equimod.scaling is not None
    equimod.scaling.set(*own.scaling(spec(*RELEASED), SIZE, from_identity=True))
    y0, zero = torch.randn(3, 128), torch.zeros(3, pipeline.layouts["first"].width)
    assert torch.equal(equimod.predict(y0, own.one("first", zero, SIZE)), y0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reference": "pair", "codes": {"encoding": "equimod"}}, "choose 'canonical' or"),
        ({"reference": "pair", "codes": {"encoding": "cassle"}}, "choose 'canonical' or"),
        ({"codes": {"encoding": "augself"}}, "set `reference: pair`"),
        ({"codes": {"encoding": "difference"}}, "set `reference: pair`"),
        ({"codes": {"ops": []}}, "at least 1 item"),
    ],
)
def test_encodings_that_are_about_something_else(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EquiModConfig(**fields)
