from __future__ import annotations

import json

import pytest

import augspec
from augspec.encoding.layout import Layout, LayoutMismatchError

CROP = "{op: resized_crop, size: 32}"
JITTER = "{op: color_jitter, brightness: 0.4, hue: 0.1, p: 0.8}"


def layout(*ops: str, image: str = "{size: 32}") -> Layout:
    text = f"{{version: 1, name: t, image: {image}, views: {{v: {{ops: [{', '.join(ops)}]}}}}}}"
    return augspec.make_plan(augspec.loads(text)).views[0].layout


def test_columns_follow_the_ops_without_gaps() -> None:
    found = layout(CROP, "{op: horizontal_flip, p: 0.5}", JITTER)
    assert found.width == 4 + 1 + 3 + 2 + 6
    assert found.ops == ("resized_crop", "horizontal_flip", "color_jitter")
    assert found.columns("color_jitter") == slice(5, 16)
    assert [slot.start for slot in found.slots][1:] == [slot.stop for slot in found.slots][:-1]
    assert len(set(found.column_names)) == found.width
    assert "color_jitter.hue.sin" in found.column_names
    with pytest.raises(KeyError, match="horizontal_flip"):
        found.columns("flip")


def test_a_combinator_has_the_columns_of_all_that_it_holds() -> None:
    inner = "{op: repeat, times: 2, ops: [{op: grayscale}]}"
    found = layout(f"{{op: random_order, ops: [{JITTER}, {inner}]}}", CROP)
    jitter, gray = "random_order.color_jitter", "random_order.repeat"
    own = ("random_order", jitter, f"{gray}.1", f"{gray}.2", "resized_crop")
    assert found.ops == own
    assert found.columns("random_order") == slice(0, 1 + 11 + 2)
    assert found.columns(jitter) == slice(1, 12)
    assert found.columns(gray) == slice(12, 14)
    assert f"{gray}.2.gray" in found.column_names


def test_the_hash_is_of_the_meaning_not_of_the_range() -> None:
    weak, strong = layout(JITTER), layout(JITTER.replace("0.4", "0.8"))
    assert weak.slots != strong.slots
    assert weak.hash == strong.hash
    weak.require(strong, "checkpoint")
    assert layout(CROP, JITTER).hash != layout(JITTER, CROP).hash
    # the same on every machine: a changed hash makes every published checkpoint unreadable
    assert weak.hash == "f742fc58a2328dbb"


def test_a_mismatch_says_what_differs() -> None:
    mine, theirs = layout(CROP, JITTER), layout(CROP, "{op: grayscale}")
    with pytest.raises(LayoutMismatchError) as error:
        mine.require(theirs, "checkpoint last.safetensors")
    assert "checkpoint last.safetensors" in str(error.value)
    assert "- color_jitter.hue: only in the first" in str(error.value)
    assert "+ grayscale.gray: only in the second" in str(error.value)
    moved = layout("{op: grayscale}", CROP)
    assert "~ resized_crop.center_y: start 0 -> 1" in layout(CROP).diff(moved)


def test_documents_and_descriptions() -> None:
    found = layout(CROP, "{op: gaussian_blur, p: 0.5}")
    assert Layout.from_document("v", json.loads(json.dumps(found.document()))) == found
    text = found.describe()
    assert "5 columns" in text and "gaussian_blur.sigma" in text and "[0, 0.0625]" in text
    assert "by image size" in layout("{op: gaussian_blur}", image="{}").describe()
