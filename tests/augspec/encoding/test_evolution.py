"""Codes and weights of one layout, used with another: exact, or refused with what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import augspec
from augspec import Layout, LayoutMismatchError, Pipeline, SlotMap, slot_map

CROP: dict[str, Any] = {"op": "resized_crop", "size": 16, "p": 0.7}
FLIP: dict[str, Any] = {"op": "horizontal_flip", "p": 0.5}
JITTER: dict[str, Any] = {"op": "color_jitter", "brightness": 0.4, "hue": 0.1, "p": 0.8}
GRAY: dict[str, Any] = {"op": "grayscale", "p": 0.5}
SOLARIZE: dict[str, Any] = {"op": "solarize", "p": 0.5, "threshold": [0.2, 0.8]}
ROTATE: dict[str, Any] = {"op": "rotate", "p": 0.5}
OPS = (CROP, FLIP, JITTER, GRAY, SOLARIZE, ROTATE)
CHOSEN = st.lists(st.sampled_from(OPS), unique_by=lambda op: op["op"], min_size=1)


def pipeline(*ops: dict[str, Any]) -> Pipeline:
    document = {"version": 1, "name": "t", "image": {"size": 16}, "views": {"v": {"ops": [*ops]}}}
    return augspec.compile(augspec.loads(json.dumps(document)), seed=3)


def layout(*ops: dict[str, Any]) -> Layout:
    return pipeline(*ops).layouts["v"]


def drawn(*ops: dict[str, Any], count: int = 64) -> Tensor:
    """Codes of which no op depends on the others: its draws are keyed by its id alone."""
    return pipeline(*ops).draw(torch.arange(count), 0, (16, 16))["v"]


def off(op: dict[str, Any]) -> dict[str, Any]:
    return {**op, "p": 0.0}


def between(source: tuple[dict[str, Any], ...], target: tuple[dict[str, Any], ...]) -> SlotMap:
    return slot_map(layout(*source), layout(*target))


@settings(max_examples=20)
@given(source=CHOSEN, target=CHOSEN)
def test_codes_go_by_their_names(source: list[dict[str, Any]], target: list[dict[str, Any]]):
    """Drawn under the source, ops that the target lacks being off, they are the target's draws."""
    silenced = [op if op in target else off(op) for op in source]
    expected = [op if op in source else off(op) for op in target]
    found = between(tuple(silenced), tuple(expected)).codes(drawn(*silenced))
    assert torch.equal(found, drawn(*expected))


@settings(max_examples=20)
@given(source=CHOSEN, data=st.data())
def test_weights_go_by_their_names(source: list[dict[str, Any]], data: st.DataObject):
    """The target's ops are some of the source's: a layer gives the same for the same parameters."""
    target = data.draw(st.permutations(source))[: data.draw(st.integers(1, len(source)))]
    both = [op if op in target else off(op) for op in source]
    layer = torch.randn(5, layout(*source).width, dtype=torch.float64)
    moved = between(tuple(source), tuple(target)).columns(layer)
    here, there = drawn(*target).double() @ moved.T, drawn(*both).double() @ layer.T
    torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-12)


def test_a_reordered_layout_has_another_hash_and_every_slot() -> None:
    there, here = layout(CROP, FLIP, JITTER), layout(JITTER, CROP, FLIP)
    found = slot_map(there, here)
    assert there.hash != here.hash
    assert (found.dropped, found.added, found.changed, found.diff()) == ((), (), (), "")
    assert len(found.kept) == len(there.slots)
    assert all(old.name == new.name and old in there.slots for old, new in found.kept)
    back = slot_map(here, there)
    code = drawn(CROP, FLIP, JITTER)
    assert not torch.equal(found.codes(code), code)
    assert torch.equal(back.codes(found.codes(code)), code)
    double = code[:3].double().requires_grad_()
    assert torch.autograd.gradcheck(found.codes, (double,))


def test_an_op_that_did_something_cannot_be_dropped() -> None:
    found = between((FLIP, JITTER, GRAY), (GRAY, FLIP))
    code = torch.zeros(4, layout(FLIP, JITTER, GRAY).width)
    code[:, 0] = 1  # the flip stays
    assert found.codes(code).tolist() == [[0, 1]] * 4
    code[2, 3] = code[3, 3] = 0.25  # saturation
    with pytest.raises(LayoutMismatchError) as error:
        found.codes(code, "codes.parquet")
    lines = str(error.value).splitlines()
    hashes = layout(FLIP, JITTER, GRAY).hash, layout(GRAY, FLIP).hash
    assert lines[0] == f"codes.parquet: layout {hashes[0]} instead of {hashes[1]}"
    assert lines[1] == "row 2 has color_jitter.saturation 0.25, not zero"
    assert lines[2:] == [
        f"+ color_jitter.{name}: only in the second"
        for name in ("brightness", "contrast", "saturation", "hue", "order")
    ]
    code[1, 5] = torch.nan
    with pytest.raises(LayoutMismatchError, match=r"row 2 has color_jitter\.saturation"):
        found.codes(code)
    code[2, 3] = code[3, 3] = 0
    with pytest.raises(LayoutMismatchError, match=r"row 1 has color_jitter\.hue 0, nan, not zero"):
        found.codes(code)


def test_a_head_cannot_read_what_it_never_saw() -> None:
    found = between((FLIP,), (FLIP, GRAY, SOLARIZE))
    assert found.codes(torch.ones(2, 1)).tolist() == [[1, 0, 0, 0]] * 2
    with pytest.raises(LayoutMismatchError) as error:
        found.columns(torch.ones(2, 1), "checkpoint last.safetensors")
    lines = str(error.value).splitlines()
    assert lines[0].startswith("checkpoint last.safetensors: layout ")
    assert lines[1:] == [
        "what is only in the first has no weights",
        "- grayscale.gray: only in the first",
        "- solarize.on: only in the first",
        "- solarize.threshold: only in the first",
    ]


def test_weights_after_standardised_codes_are_folded_first() -> None:
    """As the module says: zero codes are not zero after it, so a dropped column has a part."""
    found, code = between((FLIP, JITTER), (JITTER,)), drawn(off(FLIP), JITTER).double()
    mean, std = drawn(FLIP, JITTER).double().mean(0), drawn(FLIP, JITTER).double().std(0) + 0.1
    layer = torch.randn(3, len(mean), dtype=torch.float64)
    wanted = ((code - mean) / std) @ layer.T
    folded, bias = layer / std, -(layer / std) @ mean
    torch.testing.assert_close(found.codes(code) @ found.columns(folded).T + bias, wanted)
    careless = ((code - mean) / std)[:, 1:] @ found.columns(layer).T
    assert (careless - wanted).abs().max() > 0.01


def test_what_changed_its_meaning_is_refused_either_way() -> None:
    log, linear = {"op": "scale", "id": "x"}, {"op": "brightness", "id": "x"}
    found = between((log, FLIP), (FLIP, linear))
    assert [(c.source.start, c.target.start) for c in found.changed] == [(0, 1)]
    for use in (found.codes, found.columns):
        with pytest.raises(LayoutMismatchError) as error:
            use(torch.zeros(3, 2), "it")
        assert str(error.value).splitlines()[1:] == ["~ x.factor: codec linear -> log"]
    turn = layout({"op": "rotate", "id": "x"})
    slot = replace(turn.slots[0], unit="degree", columns=("x.angle",))
    other = Layout("v", (slot,))
    expected = "~ x.angle: unit turn -> degree, columns ('sin', 'versin') -> ('',)"
    assert slot_map(other, turn).diff() == expected


def test_a_gradient_is_no_part_of_the_meaning() -> None:
    smooth, coarse = layout(ROTATE), layout({**ROTATE, "interpolation": "nearest"})
    assert smooth.hash != coarse.hash
    code = drawn(ROTATE)
    assert torch.equal(slot_map(smooth, coarse).codes(code), code)


@pytest.mark.parametrize("tag", ["random_order", "mix"])
def test_what_counts_the_ops_of_a_combinator_depends_on_them(tag: str) -> None:
    """Column `0<1` of an order, or weight 1, is about the first op, whichever that is."""
    one = {"op": tag, "ops": [GRAY, SOLARIZE]}
    other = {"op": tag, "ops": [SOLARIZE, GRAY]}
    found = between((FLIP, one), (other, FLIP))
    own = "order" if tag == "random_order" else "weight_1"
    how = "ops ('solarize', 'grayscale') -> ('grayscale', 'solarize')"
    assert f"~ {tag}.{own}: {how}" in found.diff().splitlines()
    with pytest.raises(LayoutMismatchError, match=f"{tag}.{own}"):
        found.codes(drawn(FLIP, one))
    # its ops in the same places, the combinator may move, and what is deeper inside it as well
    deep, moved = ({"op": "sequence", "ops": [*ops]} for ops in ((GRAY, FLIP), (FLIP, GRAY)))
    inside = (CROP, {"op": tag, "ops": [deep, SOLARIZE]}), ({"op": tag, "ops": [moved, SOLARIZE]},)
    assert not between(*inside).changed


def test_choices_may_change_places_and_lose_an_option_that_was_not_chosen() -> None:
    one = {"op": "one_of", "ops": [GRAY, SOLARIZE, JITTER]}
    two = {"op": "one_of", "ops": [JITTER, GRAY]}
    found, code = between((one,), (two,)), drawn(one)
    solarized = code[:, 1] != 0
    assert solarized.any() and not solarized.all()
    kept = found.codes(code[~solarized])
    assert torch.equal(kept, torch.cat([code[:, 3:], code[:, :1]], dim=1)[~solarized])
    with pytest.raises(LayoutMismatchError, match=r"has one_of\.solarize\.on 1, not zero"):
        found.codes(code)


def test_renames() -> None:
    old = (FLIP, {"op": "one_of", "ops": [GRAY, JITTER]})
    new = ({"op": "one_of", "id": "colour", "ops": [{**JITTER, "id": "jitter"}, GRAY]}, FLIP)
    there, here = layout(*old), layout(*new)
    assert len(slot_map(there, here).kept) == 1  # no op is renamed by itself
    renames = {"one_of": "colour", "one_of.color_jitter": "colour.jitter"}
    found = slot_map(there, here, renames)
    assert (found.dropped, found.added, found.changed) == ((), (), ())
    assert {a.name: b.name for a, b in found.kept} == {
        "horizontal_flip.flip": "horizontal_flip.flip",
        "one_of.grayscale.gray": "colour.grayscale.gray",
        **{
            f"one_of.color_jitter.{name}": f"colour.jitter.{name}"
            for name in ("brightness", "contrast", "saturation", "hue", "order")
        },
    }
    code = drawn(*old)
    assert torch.equal(found.codes(code), torch.cat([code[:, 2:], code[:, 1:2], code[:, :1]], 1))
    assert slot_map(here, there, {new: old for old, new in renames.items()}).diff() == ""


@pytest.mark.parametrize(
    ("renames", "words"),
    [
        ({"color_jiter": "jitter"}, r"no op 'color_jiter' in the old layout; did you mean 'color_"),
        ({"color_jitter": "jiter"}, r"no op 'jiter' in the new layout; did you mean 'jitter'\?"),
        ({"zzz": "jitter"}, r"no op 'zzz' in the old layout \(ops: color_jitter, contrast, hue\)"),
        ({"contrast": "hue"}, r"both contrast\.shift and hue\.shift would be hue\.shift"),
    ],
)
def test_renames_that_make_no_sense(renames: dict[str, str], words: str) -> None:
    there = layout(JITTER, {"op": "hue", "id": "contrast"}, {"op": "hue"})
    here = layout({**JITTER, "id": "jitter"}, {"op": "hue"})
    with pytest.raises(ValueError, match=words):
        slot_map(there, here, renames)


def test_the_width_is_checked() -> None:
    found = between((FLIP, GRAY), (FLIP,))
    for wrong in (torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 2, 2)):
        for use in (found.codes, found.columns):
            with pytest.raises(ValueError, match=r"mine must be \(\.\.\., 2\), got \("):
                use(wrong, "mine")


def test_a_file_of_a_layout_is_enough(tmp_path) -> None:
    """As in the header of a checkpoint: the layout is plain data."""
    text = json.dumps(layout(CROP, FLIP, JITTER).document())
    there = Layout.from_document("v", json.loads(text))
    found = slot_map(there, layout(FLIP, CROP))
    code = drawn(CROP, FLIP, off(JITTER))
    assert torch.equal(found.codes(code), drawn(FLIP, CROP))
