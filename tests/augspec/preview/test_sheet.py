"""Sheets and strips: colours, labels, and text that fits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import augspec
from augspec.encoding.codecs import Angle, Bit, Linear, Order
from augspec.ops.parameter import Parameter
from augspec.preview.heat import colour, labels, strip
from augspec.preview.pictures import Picture, built_in
from augspec.preview.samples import Column, most, preview
from augspec.preview.scene import scene
from augspec.preview.sheet import sheet
from augspec.preview.text import TIMES, font, shortened, width, wrapped


def test_the_scale_of_a_column_is_that_of_its_range() -> None:
    assert most(Parameter("f", "factor", 1.0, 0.25, 1.5, Linear(1.0))) == [0.75]
    assert most(Parameter("t", "turn", 0.0, -0.5, 0.5, Angle())) == pytest.approx([1.0, 2.0])
    assert most(Parameter("o", "permutation", 0.0, 0.0, 5.0, Order(3))) == [1.0, 1.0, 1.0]
    assert most(Parameter("off", "0 or 1", 0.0, 0.0, 0.0, Bit())) == [0.0]


def test_colours() -> None:
    assert min(colour(0.0)) >= 250
    red, blue = colour(1.0), colour(-1.0)
    assert red[0] > red[2] and blue[2] > blue[0]
    assert sum(colour(0.2)) > sum(colour(0.6)) > sum(red)


def columns(spec: str) -> tuple[Column, ...]:
    (row,) = preview(augspec.loads(spec), [built_in((32, 32))], rows=1).rows
    return row.samples[0].code


def test_every_column_of_a_strip_is_under_a_label() -> None:
    code = columns(
        "version: 1\nname: a\nviews: {a: {ops: [{op: resized_crop, size: 32}, {op: grayscale},"
        " {op: color_jitter, hue: 0.1}, {op: solarize}]}}"
    )
    upper, lower = labels(code, 19)
    assert sum(label.columns for label in upper) == sum(label.columns for label in lower)
    assert sum(label.columns for label in upper) == len(code) == 18
    texts = [label.text for label in upper]
    assert texts[:2] == ["resized_crop.center_y", "resized_crop.center_x"]  # too narrow for its op
    assert texts[4:8] == ["grayscale", "brightness", "contrast", "saturation"]
    assert [label.text for label in lower] == ["", "", "color_jitter", ""]
    image = strip(code, 400)
    assert image.width == 400
    assert (np.asarray(image)[:, -3:] == 255).all()


def test_a_long_code_stays_small() -> None:
    many = ", ".join("{op: color_jitter, p: 0.1, hue: 0.1}" for _ in range(20))
    code = columns(f"version: 1\nname: a\nviews: {{a: {{ops: [{many}]}}}}")
    assert len(code) == 220
    assert strip(code, 400).height < 500


def test_sheets_of_all_recipes_have_no_text_beyond_their_edges(root: Path) -> None:
    for name in ("augmix", "dino-imagenet", "byol-imagenet"):
        spec = augspec.load(root / f"specs/augmentations/{name}.yaml")
        name = "a-very-long-name-of-a-file-" * 5 + ".jpg"
        picture = Picture(name, "cut and resized from 500x375", scene(250, 300))
        pixels = np.asarray(sheet(preview(spec, [picture], rows=1)))
        assert (pixels[:, -20:] == 255).all() and (pixels[-20:] == 255).all()


def test_text_fits() -> None:
    face = font(17)
    for text in ("short", "a" * 200, "one_of.gaussian_blur.sigma" * 3):
        for room in (20, 100, 300):
            assert width(shortened(text, face, room), face) <= max(room, width("…", face))
    assert shortened("short", face, 300) == "short"
    words = [(word, face, "black") for word in (f"brightness {TIMES}1.50,", "hue +90°", "x" * 99)]
    lines = wrapped(words, 120)
    for line in lines:
        assert width(" ".join(text for text, _, _ in line), face) <= 120
    assert re.sub(r"x+…x+$", "", " ".join(t for line in lines for t, _, _ in line)).split() == [
        "brightness",
        f"{TIMES}1.50,",
        "hue",
        "+90°",
    ]
