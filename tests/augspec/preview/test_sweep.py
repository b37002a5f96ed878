"""Sweeps: one parameter at its values, with all else as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import augspec
from augspec.encoding.codecs import Bit, Log, Order
from augspec.ops.parameter import Parameter
from augspec.preview.pictures import built_in
from augspec.preview.sweep import find, grid, sweep


def test_a_sweep_shows_the_parameter_at_its_values(root: Path) -> None:
    plan = augspec.make_plan(augspec.load(root / "specs/augmentations/byol-cifar10.yaml"))
    picture = built_in((32, 32))
    found = sweep(plan, find(plan, "second.horizontal_flip.flip"), picture, steps=9)
    assert found.values == ("no", "yes")
    plain, flipped = (np.asarray(view) for view in found.views)
    assert (plain == np.asarray(picture.image)).all()
    assert (flipped == plain[:, ::-1]).all()
    # the threshold does something only where the switch is on
    found = sweep(plan, find(plan, "second.solarize.threshold"), picture, steps=3)
    assert found.values == ("0", "0.251", "0.502")
    x = np.asarray(picture.image, float) / 255
    for view, threshold in zip(found.views, (0.0, 128 / 510, 128 / 255), strict=True):
        expected = np.where(x >= threshold, 1 - x, x) * 255
        assert np.abs(np.asarray(view) - expected).max() < 1
    assert found.around == "all else at the identity"


def test_a_sweep_without_effect_at_the_identity_is_made_at_a_draw() -> None:
    text = "version: 1\nname: a\nviews: {a: {ops: [{op: erase, p: 0.2, fill: 1}]}}"
    plan = augspec.make_plan(augspec.loads(text))
    swept, picture = find(plan, "a.erase.center_x"), built_in((64, 64))
    found = sweep(plan, swept, picture, steps=5)
    assert found.around.startswith("all else at the draw of sample ")
    assert len({view.tobytes() for view in found.views}) > 1
    plain = sweep(plan, swept, picture, steps=5, around="identity")
    assert {view.tobytes() for view in plain.views} == {picture.image.tobytes()}
    drawn = sweep(plan, swept, picture, steps=5, around="draw", sample=3)
    assert drawn.around == "all else at the draw of sample 3"


def test_the_values_of_a_sweep() -> None:
    assert grid(Parameter("a", "", 0.0, -1.0, 1.0), 5) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert grid(Parameter("f", "", 1.0, 0.25, 4.0, Log()), 3) == pytest.approx([0.25, 1.0, 4.0])
    assert grid(Parameter("b", "", 0.0, 0.0, 1.0, Bit()), 9) == [0.0, 1.0]
    assert grid(Parameter("o", "", 0.0, 0.0, 5.0, Order(3)), 9) == [0, 1, 2, 3, 4, 5]
    assert grid(Parameter("c", "", 0.0, 0.5, 0.5), 9) == [0.5]
