"""Specs as documents: what loads, what is refused, and where the error points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import augspec
from augspec import SpecError

SPECS = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))

GOOD = """\
version: 1
name: t
normalize: {mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}
views:
  original: {ops: []}
  first:
    ops:
      - {op: resized_crop, size: 32}
      - {op: color_jitter, p: 0.8, brightness: 0.4}
      - {op: gaussian_blur, kernel: 3}
      - {op: gaussian_blur, kernel: 5}
"""


def mistakes(text: str) -> str:
    with pytest.raises(SpecError) as error:
        augspec.loads(text, "a.yaml")
    return str(error.value)


def test_loading_a_spec_does_not_import_torch() -> None:
    code = (
        "import sys, augspec; spec = augspec.load(sys.argv[1]); augspec.make_plan(spec);"
        "assert 'torch' not in sys.modules, 'torch was imported'; print(spec.name)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(SPECS[0])], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == SPECS[0].stem


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_published_specs_load_and_round_trip(path: Path) -> None:
    spec = augspec.load(path)
    assert spec.name == path.stem
    assert augspec.Spec.model_validate(spec.document()) == spec
    views = augspec.make_plan(spec).views
    layouts = {view.layout.hash for view in views if view.name in ("first", "second")}
    assert len(layouts) == 1  # one predictor serves both views


def test_published_parameters() -> None:
    byol = augspec.load(SPECS[0].parent / "byol-imagenet.yaml")
    first, second = (dict(byol.views[name].identified()) for name in ("first", "second"))
    assert (first["gaussian_blur"].p, second["gaussian_blur"].p) == (1.0, 0.1)
    assert (first["solarize"].p, second["solarize"].p) == (0.0, 0.2)
    jitter = first["color_jitter"]
    assert (jitter.saturation.low, jitter.saturation.high) == (0.8, 1.2)
    assert (first["resized_crop"].area.low, first["resized_crop"].size) == (0.08, 224)


def test_ids_and_overrides() -> None:
    spec = augspec.loads(GOOD, overrides=["views.first.ops.color_jitter.p=0", "name=other"])
    ids = [op_id for op_id, _ in spec.views["first"].identified()]
    assert ids == ["resized_crop", "color_jitter", "gaussian_blur", "gaussian_blur_2"]
    assert spec.views["first"].ops[1].p == 0
    assert spec.name == "other"


def test_all_mistakes_at_once_each_at_its_place() -> None:
    text = GOOD.replace("brightness", "brigtness").replace("p: 0.8", "p: 1.8")
    text = text.replace("op: resized_crop", "op: resizedcrop").replace("name: t", "nmae: t")
    found = mistakes(text)
    assert "a.yaml:2:1: error: unknown field 'nmae'" in found
    assert "did you mean 'name'" in found
    assert "a.yaml:8:14: error: unknown op 'resizedcrop'; did you mean 'resized_crop'?" in found
    assert "a.yaml:9:31: error:" in found and "1.8" in found
    assert "a.yaml:9:36: error: unknown field 'brigtness'" in found
    assert "did you mean 'brightness'?" in found
    assert "missing required field 'name'" in found


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("version: 1", "version: 2", "1:10", "1"),
        ("std: [0.2, 0.2, 0.2]", "std: [0.2, 0.2]", "3:41", "as many numbers"),
        ("std: [0.2, 0.2, 0.2]", "std: [0.2, 0.2, 0]", "3:52", "> 0"),
        ("mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]", "mean: [0, 0], std: [1, 1]", "3:19", "3"),
        ("kernel: 3", "kernel: 4", "10:37", "odd"),
        ("kernel: 5", "kernel: 65", "11:37", "at most 63"),
        ("kernel: 5", "id: gaussian_blur, kernel: 5", "11:33", "already that of op 2"),
        ("size: 32", "size: 0", "8:34", "1"),
        ("  first:\n", "  1st:\n", "6:3", "1st"),
        ("p: 0.8", "p: yes", "9:31", "'yes'"),
        ("p: 0.8", "p: true", "9:31", "true"),
    ],
)
def test_mistakes(old: str, new: str, place: str, words: str) -> None:
    found = mistakes(GOOD.replace(old, new))
    assert f"a.yaml:{place}: error" in found, found
    assert words in found


def test_colour_ops_need_colour() -> None:
    text = "{version: 1, name: t, image: {channels: 1}, views: {v: {ops: [{op: grayscale}]}}}"
    assert "grayscale needs colour" in mistakes(text)
