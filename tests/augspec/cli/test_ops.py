"""`augspec ops`: the list, the page of each op, and its picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import augspec
from augspec.cli.op_page import examples
from augspec.cli.words import field_type
from augspec.compiler.flow import flow
from augspec.language.docs import field_docs
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.geometry import GeometricOp

Command = Callable[..., tuple[int, str, str]]


def test_the_list_has_every_op_once_in_its_group(command: Command) -> None:
    code, out, err = command("ops")
    assert (code, err) == (0, "")
    groups = {
        block.splitlines()[0].split(":")[0]: block.splitlines()[1:]
        for block in out.strip().split("\n\n")
    }
    named = {
        group: [line.split()[0] for line in lines if line[2] != " "]
        for group, lines in groups.items()
    }
    assert sorted(tag for tags in named.values() for tag in tags) == list(OPS)
    assert list(named) == ["colour", "filters", "geometry", "noise", "occlusion", "combinators"]
    assert {tag for tag, op in OPS.items() if issubclass(op, GeometricOp)} <= set(named["geometry"])
    assert all(issubclass(OPS[tag], Combinator) for tag in named["combinators"])
    assert {"color_jitter", "hue", "solarize"} <= set(named["colour"])
    assert {"gaussian_blur", "median_blur"} <= set(named["filters"])


@pytest.mark.parametrize("name", OPS)
def test_the_page_of_an_op(command: Command, name: str) -> None:
    code, out, err = command("ops", name)
    assert (code, err) == (0, "")
    op, text = OPS[name], " ".join(out.split())
    assert " ".join((op.__doc__ or "").split()) in text
    for field, info in op.model_fields.items():
        if field != "op":
            # a table wraps its cells, so that only the beginning of a text stands on one line
            start = " ".join(field_docs(op)[field].split())[:25].rsplit(" ", 1)[0]
            assert f" {field} {field_type(info)[:12]}" in text
            assert start in text
    shown = op.model_validate(examples(op)[0])
    for parameter in shown.parameters():
        assert f" {parameter.name} {parameter.unit} " in text
        assert f" {parameter.codec.name} {parameter.codec.width} " in text
    for what, lost in (
        ("invertible", shown.not_invertible),
        ("differentiable", shown.not_differentiable),
        ("scalable", shown.not_scalable),
    ):
        assert f" {what} {f'no: {lost}' if lost else 'yes'}"[:40] in text
    for example in examples(op):
        assert f"\n  - {flow(example)}\n" in out


@pytest.mark.parametrize("name", OPS)
def test_the_examples_are_yaml_that_loads(name: str) -> None:
    op = OPS[name]
    for example in examples(op):
        read = augspec.parse_source(flow(example)).data
        assert op.model_validate(read) == op.model_validate(example)


def test_types_in_words() -> None:
    def words(op: str, field: str) -> str:
        return field_type(OPS[op].model_fields[field])

    assert words("solarize", "p") == "number in [0, 1]"
    assert words("solarize", "threshold") == "value in [0, 1]"
    assert words("color_jitter", "hue") == "spread around 0, or value in [-0.5, 0.5]"
    assert (
        words("resized_crop", "size")
        == "integer in [1, 100000] or list of 2 integers in [1, 100000]"
    )
    assert words("resized_crop", "interpolation") == "nearest, bilinear or bicubic"
    assert words("resized_crop", "antialias") == "true or false"
    assert words("one_of", "ops") == "list of ops"
    assert words("one_of", "weights") == "list of numbers >= 0"
    assert words("one_of", "id") == "text"


def test_unknown_op(command: Command) -> None:
    code, out, err = command("ops", "GausianBlur")
    assert (code, out) == (2, "")
    assert err.startswith("error: unknown op 'GausianBlur'; did you mean 'gaussian_blur'? (ops: ")
    assert "did you mean" not in command("ops", "zzz")[2]
    assert command("ops", "--picture", "x.png")[0] == 2


@pytest.mark.parametrize("name", ["rotate", "one_of", "resize", "solarize"])
def test_the_picture_of_an_op(command: Command, tmp_path: Path, name: str) -> None:
    file = tmp_path / "op.png"
    assert command("ops", name, "--picture", file) == (0, f"{file}: {name}\n", "")
    with Image.open(file) as image:
        assert image.width >= 720
        varied = [
            p for p in OPS[name].model_validate(examples(OPS[name])[0]).parameters() if p.acts
        ]
        sweeps = [p for p in varied if p.low is None or p.low != p.high]
        assert image.height > 180 * (1 + len(sweeps))
        assert len(image.getcolors(1 << 20) or ()) > 500
