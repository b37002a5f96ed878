"""`augspec plan`: sizes, columns, values and shared draws, from the plan itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import augspec
from augspec.compiler.describe import plan_document, values

Command = Callable[..., tuple[int, str, str]]

NESTED = """\
version: 1
name: nested
image: {size: 40}
views:
  first: &view
    ops:
      - {op: resized_crop, size: 32, share: views}
      - op: one_of
        ops:
          - {op: horizontal_flip, p: 0.5}
          - {op: sequence, ops: [{op: solarize, p: 0.5}, {op: grayscale, share: pairs}]}
      - {op: color_jitter, hue: 0.1, id: colours}
  second: *view
  third: {like: first, redraw: [colours]}
"""


def test_text(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    code, out, err = command("plan", file)
    assert (code, err) == (0, "")
    plan = augspec.make_plan(augspec.load(file))
    lines = out.splitlines()
    width = plan.views[0].layout.width
    assert lines[0] == f"nested: 3 views, {3 * width} columns, plan {plan.hash}"
    assert lines[1] == "images: 3 channels, 40x40 pixels"
    assert f"view first: {width} columns, layout {plan.views[0].layout.hash}" in lines
    crop = next(line for line in lines if "resized_crop" in line)
    assert "40x40 -> 32x32  columns 0-3  one draw with second, third" in crop
    for depth, start in ((2, "  one_of "), (4, "    horizontal_flip"), (6, "      solarize")):
        assert any(line.startswith(start) for line in lines), depth
    assert any("grayscale" in line and "2 samples in a row" in line for line in lines)
    assert any(line.startswith("  colours ") and line.endswith("(color_jitter)") for line in lines)
    assert any("hue [-0.1, 0.1]" in line for line in lines)


def test_json(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "nested.yaml"
    file.write_text(NESTED)
    code, out, _ = command("plan", file, "--json")
    assert code == 0
    spec = augspec.load(file)
    plan = augspec.make_plan(spec)
    document = json.loads(out)
    assert document == json.loads(json.dumps(plan_document(plan, spec.input_size)))
    first, second, third = document["views"]
    for view, planned in zip(document["views"], plan.views, strict=True):
        assert view["layout"] == planned.layout.hash
        ends = [step["columns"] for step in view["steps"]]
        assert ends == [list(step.columns) for step in planned.steps]
    choice = first["steps"][1]
    (flip, sequence) = choice["steps"]
    solarize, gray = sequence["steps"]
    start = choice["columns"][0]
    assert flip["columns"] == [start, start + 1]
    assert solarize["columns"] == [start + 1, start + 3]
    assert gray["columns"] == [start + 3, start + 4] == [start + 3, choice["columns"][1]]
    names = plan.views[0].layout.column_names
    assert names[start] == "one_of.horizontal_flip.flip"
    assert names[start + 3] == "one_of.sequence.grayscale.gray"
    assert first["steps"][0]["draws"]["shared_with"] == ["second", "third"]
    assert first["steps"][2]["draws"]["shared_with"] == []
    assert choice["draws"]["shared_with"] == ["third"]
    assert third["steps"][1]["draws"]["as"] == "first"
    assert (gray["draws"]["samples"], solarize["draws"]["samples"]) == (2, 1)
    assert second["steps"][0]["values"]["size"] == 32


def test_views_alike_are_written_once(command: Command, specs: Path) -> None:
    out = command("plan", specs / "quickstart.yaml")[1]
    assert out.endswith("  as view first, with draws of its own\n")
    assert out.count("Mirror the image") == 1
    assert "  the image as it is\n" in out


def test_sizes_that_are_not_known(command: Command, specs: Path) -> None:
    out = command("plan", specs / "simclr-imagenet.yaml")[1]
    assert "images: 3 channels, of any size" in out
    assert "any size -> 224x224" in out


def test_values_are_those_of_the_op() -> None:
    op = augspec.loads(NESTED).views["first"].ops[0]
    assert values(op).startswith("p 1, size 32, area [0.08, 1]")
