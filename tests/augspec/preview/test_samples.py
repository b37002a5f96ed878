"""What a preview shows is what the pipeline makes, in words and in images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import augspec
from augspec.encoding.codecs import Angle, Bit, Linear, Log
from augspec.ops.parameter import Parameter
from augspec.preview.pictures import built_in, read_pictures, to_image, to_tensor
from augspec.preview.samples import preview
from augspec.preview.scene import scene
from augspec.preview.text import MINUS, TIMES
from augspec.preview.words import value_words


def test_views_are_what_the_pipeline_makes_before_it_normalizes(root: Path) -> None:
    spec = augspec.load(root / "specs/augmentations/byol-cifar10.yaml")
    picture = built_in((32, 32))
    found = preview(spec, [picture], seed=5, epoch=3, rows=4)
    image = to_tensor(picture.image, 3)
    ids = torch.arange(4)
    batch = augspec.compile(spec, seed=5)(image.expand(4, -1, -1, -1), ids=ids, epoch=3)
    normalize = spec.normalize
    assert normalize is not None
    mean, std = (torch.tensor(v)[:, None, None] for v in (normalize.mean, normalize.std))
    for k, row in enumerate(found.rows):
        for sample in row.samples:
            view = batch.views[sample.view][k] * std + mean
            off = np.abs(np.asarray(sample.image, int) - np.asarray(to_image(view), int))
            assert off.max() <= 1  # undoing the normalisation rounds
            code = [column.value for column in sample.code]
            assert code == batch.codes[sample.view][k].tolist()
            assert all(abs(c.value) <= c.most + 1e-6 for c in sample.code)


def test_words_name_what_acts_and_only_that() -> None:
    spec = augspec.loads(
        "version: 1\nname: a\nviews:\n  first:\n    ops:\n"
        "      - {op: resize, size: 20}\n"
        "      - {op: color_jitter, brightness: [1.5, 1.5], hue: [0.25, 0.25],"
        " order: [hue, brightness, contrast, saturation]}\n"
        "      - {op: grayscale, p: 0}\n"
        "      - {op: solarize, threshold: 0.25}\n"
        "      - op: sequence\n"
        "        ops: [{op: horizontal_flip}, {op: gaussian_blur, sigma: 1.5, kernel: 5, p: 0}]\n"
    )
    (row,) = preview(spec, [built_in((40, 40))], rows=1).rows
    assert row.samples[0].acts == (
        ("resize", ""),
        ("color_jitter", f"brightness {TIMES}1.50, hue 90°, order hue > brightness"),
        ("solarize", "threshold 0.25"),
        ("sequence.horizontal_flip", ""),
    )


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        (Parameter("hue", "turn", 0.0, -0.5, 0.5, Angle()), -0.125, f"{MINUS}45°"),
        (Parameter("hue", "turn", 0.0, -0.5, 0.5, Angle()), 0.01, "+3.6°"),
        (Parameter("angle", "turn", 0.0, 0.0, 0.5, Angle()), 0.25, "90°"),
        (Parameter("f", "factor", 1.0, 0.5, 2.0), 1.25, f"{TIMES}1.25"),
        (Parameter("h", "source height", 1.0, 0.1, 1.0, Log()), 0.625, "62%"),
        (Parameter("x", "width", 0.0, -0.2, 0.2), 0.05, "+5.0%"),
        (Parameter("s", "shorter side", 0.0, 0.0, 0.1), 0.05, "1.50 px"),
        (Parameter("on", "0 or 1", 0.0, 0.0, 1.0, Bit()), 1.0, "yes"),
        (Parameter("t", "intensity", 0.0, 0.0, 1.0, Linear()), 0.123456, "0.123"),
    ],
)
def test_values_in_words(parameter: Parameter, value: float, words: str) -> None:
    assert value_words(parameter, value, (30, 40)) == words


def test_images_of_all_kinds(tmp_path: Path) -> None:
    scene(30, 50).convert("L").save(tmp_path / "gray.png")
    scene(30, 50).convert("RGBA").save(tmp_path / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    scene(30, 50).save(tmp_path / "turned.jpg", exif=turned)
    files = [tmp_path / name for name in ("gray.png", "alpha.png", "turned.jpg")]
    gray, alpha, phone = read_pictures(files, None)
    assert {picture.image.mode for picture in (gray, alpha, phone)} == {"RGB"}
    assert alpha.image.tobytes() == scene(30, 50).tobytes()
    assert phone.image.size == (30, 50)
    (fitted, *_) = read_pictures(files, (16, 16))
    assert fitted.image.size == (16, 16)
    assert fitted.note == "cut and resized from 50x30"


def test_one_channel(tmp_path: Path) -> None:
    text = "version: 1\nname: a\nimage: {channels: 1}\nviews: {a: {ops: [{op: solarize}]}}"
    (row,) = preview(augspec.loads(text), [built_in((20, 20))], rows=1).rows
    pixels = np.asarray(row.samples[0].image)
    assert pixels.shape == (20, 20, 3)
    assert (pixels == pixels[..., :1]).all()


def test_the_scene_is_the_same_everywhere() -> None:
    image = scene(32, 32)
    assert image.tobytes() == scene(32, 32).tobytes()
    pixels = np.asarray(image, int)
    assert pixels.std(axis=(0, 1)).min() > 30  # much to see in every channel
    assert np.abs(pixels - pixels[:, ::-1]).mean() > 20  # a flip can be seen
    assert scene(20, 50).size == (50, 20)
