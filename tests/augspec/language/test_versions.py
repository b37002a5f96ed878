"""Versions: the check that comes first, and migration that keeps what a person wrote."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import augspec
from augspec import Spec, SpecError
from augspec.language.source import parse_source
from augspec.language.versions import CURRENT, migrate

SPECS = Path(__file__).parents[3] / "specs" / "augmentations"
SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.v0.*"))


def read(path: Path) -> str:
    return path.read_bytes().decode()


def comments(text: str) -> list[str]:
    """Every comment; the samples have no `#` in a string."""
    return [line.split("#", 1)[1].strip() for line in text.splitlines() if "#" in line]


def test_the_newest_version_is_the_models() -> None:
    assert get_args(Spec.model_fields["version"].annotation) == (CURRENT,)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("name: t\nviews: 5", "f:1:1", "missing required field 'version': write `version: 1`"),
        ("{}", "f:1:1", "missing required field 'version'"),
        ("name: t\nverison: 1", "f:2:1", "did you mean 'version' by 'verison'?"),
        ("Version: 1", "f:1:1", "did you mean 'version' by 'Version'?"),
        ("version: 1.0", "f:1:10", "the version must be an integer, such as `version: 1`, got 1.0"),
        ("version: '1'", "f:1:10", "the version must be an integer, such as `version: 1`, got '1'"),
        ("version: true", "f:1:10", "the version must be an integer"),
        ("version: null", "f:1:10", "the version must be an integer"),
        ("version: $v", "f:1:10", "the version must be an integer"),
        (
            "version: 2",
            "f:1:10",
            "this spec is version 2; this augspec reads version 1: update augspec",
        ),
        ("version: 0", "f:1:10", "version 0: run `augspec migrate f`"),
        ("version: -1", "f:1:10", "there is no version -1"),
    ],
)
def test_the_version_is_the_first_and_only_mistake(text: str, place: str, message: str) -> None:
    wrong = f"{text}\nwrong: 1\nlet: 5\nextends: 5" if text != "{}" else text
    with pytest.raises(SpecError) as error:
        augspec.loads(wrong, "f", ["version=1", "a..b"])
    (found,) = error.value.diagnostics
    assert str(found.position) == place
    assert message in found.message


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.name)
def test_samples_become_what_they_should(path: Path) -> None:
    old, expected = read(path), read(path.with_name(path.name.replace(".v0.", ".v1.")))
    new = migrate(old, path.name)
    assert new == expected
    assert migrate(new, path.name) == new
    assert migrate("\ufeff" + old, path.name) == "\ufeff" + new
    assert comments(new) == comments(old)
    assert sorted(re.findall(r"[&*]\w+", new)) == sorted(re.findall(r"[&*]\w+", old))
    augspec.loads(new, path.name)
    with pytest.raises(SpecError):
        augspec.loads(old, path.name)


def test_the_commented_sample_is_the_spec_it_was_meant_to_be() -> None:
    crop = {
        "op": "resized_crop",
        "size": 32,
        "area": [0.2, 1.0],
        "aspect": {"log_uniform": [0.75, 1.3333333333333333]},
    }
    jitter = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
    ops = [
        crop,
        {"op": "horizontal_flip", "p": 0.5},
        {"op": "color_jitter", "p": 0.8, **jitter},
        {"op": "maybe", "p": 0.25, "ops": [{"op": "solarize", "p": 1.0}]},
    ]
    spec = Spec.model_validate(
        {
            "version": 1,
            "name": "commented",
            "description": "Two lines, which stay two lines: type, prob and name are words here.",
            "normalize": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.247, 0.243, 0.261]},
            "views": {
                "original": {},
                "first": {"ops": ops},
                "second": {"ops": ops},
                "third": {"ops": [crop]},
                "fourth": {"ops": [crop, {"op": "grayscale", "p": 0.2}]},
                "fifth": {},
                "sixth": {},
            },
        }
    )
    text = migrate(read(SAMPLES[0]), "s")
    assert SAMPLES[0].name == "commented.v0.yaml"
    assert augspec.loads(text) == spec


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_specs_of_today_stay_as_they_are(path: Path) -> None:
    assert migrate(read(path), "s") == read(path)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [", "f:1:5", "not valid YAML"),
        ("- 1", "f:1:1", "must be a mapping"),
        ("version: 2", "f:1:10", "update augspec"),
        ("version: x", "f:1:10", "must be an integer"),
        ("version: -3", "f:1:10", "no version -3"),
        ("views: [5]", "f:1:9", "a view in a list needs a `name`"),
        ("views:\n- transforms: []", "f:2:3", "a view in a list needs a `name`"),
        ("views: [{name: a b}]", "f:1:10", "must be a word"),
        ("views: [{name: [a]}]", "f:1:10", "must be a word"),
        ("views: [{name: a}, {name: 'a'}]", "f:1:21", "two views are called 'a'"),
        (
            "views: [{name: a, transforms: [{type: x, prob: 1, p: 2}]}]",
            "f:1:42",
            "both 'prob' and 'p' are given",
        ),
    ],
)
def test_what_cannot_be_migrated(text: str, place: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        migrate(text, "f")
    (found,) = error.value.diagnostics
    assert message in found.message
    assert str(found.position) == place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: a", "version: 1\nname: a"),
        ("{}", '{"version": 1}'),
        ("# c\n---\nname: a\n...\n", "# c\n---\nversion: 1\nname: a\n...\n"),
        ("  name: a\n  x: 1", "  version: 1\n  name: a\n  x: 1"),
        ("views: []", "version: 1\nviews: {}"),
        ("views: [ ] # c", "version: 1\nviews: { } # c"),
        ("views:\n- &v\n  name: a\n  x: *v", None),
        ("views:\n- &v {name: a, x: 1}", "version: 1\nviews:\n  a: &v {x: 1}"),
        ("views:\n- &v\n  name: a\n  x: 1", "version: 1\nviews:\n  a: &v\n    x: 1"),
        ("x: &v {name: a}\nviews: [*v]", "version: 1\nx: &v {}\nviews: {a: *v}"),
        ("x: &v {name: a}\nviews:\n  - *v", "version: 1\nx: &v {}\nviews:\n  a: *v"),
        ("views: [{x: 1, # c\n name: a}]", "version: 1\nviews: {a: {x: 1, # c\n }}"),
        ("views: [{name: a, # c\n x: 1}]", "version: 1\nviews: {a: { # c\n x: 1}}"),
        ("views:\n- name: a\n  x:\ny:\nz: 1", "version: 1\nviews:\n  a:\n    x:\ny:\nz: 1"),
        ("views:\n- x: |\n    t\n  name: a\n", "version: 1\nviews:\n  a:\n    x: |\n      t\n"),
        (
            "views:\n  - name: a\n    transforms:\n    - {type: &t resized_crop, scale: 1}\n"
            "    - {type: *t, ratio: 1}\n    - {type: affine, scale: 1}",
            "version: 1\nviews:\n  a:\n    ops:\n    - {op: &t resized_crop, area: 1}\n"
            "    - {op: *t, aspect: 1}\n    - {op: affine, scale: 1}",
        ),
        (
            "views: {a: {transforms: &o [{type: colour_jitter}]}, b: {transforms: *o}}",
            "version: 1\nviews: {a: {ops: &o [{op: color_jitter}]}, b: {ops: *o}}",
        ),
    ],
)
def test_small_documents(old: str, new: str | None) -> None:
    if new is None:
        with pytest.raises(SpecError, match="inside its own anchor"):
            migrate(old)
        return
    assert migrate(old) == new
    assert migrate(new) == new


WORDS = st.sampled_from(["resized_crop", "colour_jitter", "solarize", "maybe", "affine"])
FIELDS = st.dictionaries(
    st.sampled_from(["prob", "scale", "ratio", "size", "name", "kernel"]),
    st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2) | st.sampled_from(["prob", "a_b"]),
)


@st.composite
def ops(draw: st.DrawFn, depth: int = 2) -> list[dict[str, Any]]:
    found = []
    for fields in draw(st.lists(FIELDS, max_size=3)):
        op = {"type": draw(WORDS), **fields}
        if depth and draw(st.booleans()):
            op["transforms"] = draw(ops(depth - 1))
        found.append(dict(draw(st.permutations(list(op.items())))))
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    views = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        view: dict[str, Any] = {"name": name, "count": 2, "transforms": draw(ops())}
        kept = draw(st.sampled_from([["name"], ["name", "transforms"], list(view)]))
        views.append({key: view[key] for key in draw(st.permutations(kept))})
    whole = {"version": 0, "name": "t", "normalise": {"mean": [0.5]}, "views": views}
    return dict(draw(st.permutations(list(whole.items()))))


def migrated(document: dict[str, Any]) -> dict[str, Any]:
    """What migration means, on plain data."""
    views = {
        view["name"]: {
            {"transforms": "ops"}.get(k, k): migrated_ops(v) if k == "transforms" else v
            for k, v in view.items()
            if k != "name"
        }
        for view in document["views"]
    }
    names = {"normalise": "normalize"}
    return {names.get(k, k): v for k, v in document.items()} | {"version": 1, "views": views}


def migrated_ops(ops: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {"type": "op", "prob": "p", "transforms": "ops"}
    crop = {"scale": "area", "ratio": "aspect"}
    found = []
    for op in ops:
        own = names | (crop if op["type"] == "resized_crop" else {})
        new = {own.get(key, key): value for key, value in op.items()}
        new["op"] = {"colour_jitter": "color_jitter"}.get(op["type"], op["type"])
        if "ops" in new:
            new["ops"] = migrated_ops(new["ops"])
        found.append(new)
    return found


def layouts(document: dict[str, Any]) -> Iterator[str]:
    """The document in several of the ways in which it can be written."""
    yield json.dumps(document)
    yield json.dumps(document, indent=2).replace("\n", "\r\n")
    for style in (False, None, True):
        for offset in (0, 2):
            yaml = YAML(typ="safe", pure=True)
            yaml.default_flow_style = style
            yaml.sort_base_mapping_type_on_output = False
            yaml.indent(mapping=2, sequence=2 + offset, offset=offset)
            stream = io.StringIO()
            yaml.dump(document, stream)
            yield stream.getvalue()


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(documents())
def test_however_it_is_written_it_becomes_the_same(document: dict[str, Any]) -> None:
    expected = migrated(document)
    for text in layouts(document):
        # a comment behind every line that can have one
        commented = "\n".join(f"{line} # c{k}" for k, line in enumerate(text.splitlines()))
        for old in (text, commented):
            new = migrate(old)
            assert parse_source(new).data == expected
            assert comments(new) == comments(old)
