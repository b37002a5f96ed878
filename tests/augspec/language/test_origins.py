"""The spec in full: where its values came from, and the text that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import augspec
from augspec import SpecError
from augspec.language.origins import load_resolved, resolved, resolved_text
from augspec.language.source import parse_source, paths
from augspec.ops import OPS

SPECS = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))

BASE = """\
version: 1
name: base
let: {strength: 0.4, band: [0.1, 2.0], low: 0.25}
views:
  first:
    ops:
      - {op: resized_crop, size: 32, area: [$low, 1.0]}
      - {op: color_jitter, p: 0.8, brightness: $strength, hue: 0.1}
      - {op: gaussian_blur, kernel: 5, sigma: $band}
      - {op: solarize, share: pairs}
"""
CHILD = """\
version: 1
extends: base.yaml
let: {strength: 0.5}
meta: {cost: $5, list: [1, {a: b}], "a key": {}}
views:
  first: {ops: {solarize: {p: 0.2}}}
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "child.yaml").write_text(CHILD)
    monkeypatch.chdir(tmp_path)
    return Path("child.yaml")


def test_every_value_knows_where_it_came_from(child: Path) -> None:
    found = load_resolved(child, ["let.low=0.5", "views.first.ops.gaussian_blur.p=0.3"])
    assert set(found.origins) == set(paths(found.document, ()))
    ops = ("views", "first", "ops")
    expected = {
        ("name",): "base.yaml:2:7",
        ("version",): "child.yaml:1:10",
        ("description",): "default",
        ("image", "channels"): "default",
        ("meta", "cost"): "child.yaml:4:14",
        (*ops, 0, "area", 0): "let.low (--set:1:9)",
        (*ops, 0, "area", 1): "base.yaml:7:51",
        (*ops, 0, "aspect", "log_uniform"): "default",
        (*ops, 1, "op"): "base.yaml:8:14",
        (*ops, 1, "brightness"): "let.strength (child.yaml:3:17)",
        (*ops, 1, "brightness", 1): "let.strength (child.yaml:3:17)",
        (*ops, 1, "hue", 0): "base.yaml:8:64",
        (*ops, 1, "contrast"): "default",
        (*ops, 2, "sigma", 1): "let.band (base.yaml:3:34)",
        (*ops, 2, "p"): "--set:2:33",
        (*ops, 3, "p"): "child.yaml:6:31",
        (*ops, 3, "threshold"): "default",
    }
    assert {path: found.origins[path] for path in expected} == expected
    assert found.spec == augspec.load(child, ["let.low=0.5", "views.first.ops.gaussian_blur.p=0.3"])


def test_the_text_loads_as_the_same_spec_and_says_all(child: Path) -> None:
    found = load_resolved(child)
    text = resolved_text(found)
    assert augspec.loads(text) == found.spec
    assert resolved(parse_source(text)).document == found.document
    lines = dict(line.strip().split("  # ", 1) for line in text.splitlines() if "  # " in line)
    stripped = {key.rstrip(): origin for key, origin in lines.items()}
    assert stripped["brightness: [0.5, 1.5]"] == "let.strength (child.yaml:3:17)"
    assert stripped["sigma: [0.1, 2.0]"] == "let.band (base.yaml:3:28)"
    assert stripped["contrast: [1.0, 1.0]"] == "default"
    assert stripped["- 0.25"] == "let.low (base.yaml:3:45)"
    assert stripped["- op: solarize"] == "base.yaml:10:14"
    assert stripped["share: pairs"] == "base.yaml:10:31"
    for value in [line for line in text.splitlines() if not line.endswith(":")]:
        assert "  # " in value, value


def test_a_mistake_is_that_of_load(child: Path) -> None:
    with pytest.raises(SpecError) as one:
        load_resolved(child, ["name=1"])
    with pytest.raises(SpecError) as other:
        augspec.load(child, ["name=1"])
    assert str(one.value) == str(other.value)


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_published_specs_are_themselves(path: Path) -> None:
    found = load_resolved(path)
    assert augspec.loads(resolved_text(found)) == found.spec == augspec.load(path)


@pytest.mark.parametrize("tag", OPS)
def test_every_op_is_itself(tag: str) -> None:
    ops = [{"op": tag, "id": f"x{k}", **example} for k, example in enumerate(OPS[tag].examples)]
    for op in ops:
        text = json.dumps({"version": 1, "name": "t", "views": {"v": {"ops": [op]}}})
        found = resolved(parse_source(text, "f"))
        assert augspec.loads(resolved_text(found)) == found.spec


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
META = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), META), st.text())
def test_free_data_survives(meta: dict[str, Any], description: str) -> None:
    text = json.dumps({"version": 1, "name": "t", "views": {"v": {}}, "meta": {}})
    source = parse_source(text, "a\nb\u202e.yaml")
    source.data["meta"], source.data["description"] = meta, description
    found = resolved(source)
    again = augspec.loads(resolved_text(found))
    assert again == found.spec
    assert repr(again.meta) == repr(meta)  # 1 is not 1.0, nor true


def test_long_keys_and_odd_numbers() -> None:
    key = "k" * 3000
    text = "version: 1\nname: t\nviews: {v: {}}\nmeta:\n"
    text += f"  ? {key}\n  : {{a: .inf, b: [-.inf, 1e300]}}"
    found = resolved(parse_source(text))
    assert augspec.loads(resolved_text(found)).meta == found.spec.meta
    assert len(found.spec.meta[key]) == 2
