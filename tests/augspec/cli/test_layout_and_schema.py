"""`augspec layout` and `augspec schema`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import augspec
from augspec.language.docs import field_docs
from augspec.ops import OPS

Command = Callable[..., tuple[int, str, str]]


def test_layout_as_text(command: Command, specs: Path) -> None:
    code, out, err = command("layout", specs / "byol-cifar10.yaml")
    assert (code, err) == (0, "")
    views = augspec.make_plan(augspec.load(specs / "byol-cifar10.yaml")).views
    assert out == "\n\n".join(view.layout.describe() for view in views) + "\n"
    assert "solarize.threshold" in out


def test_layout_as_json(command: Command, specs: Path) -> None:
    path = specs / "simclr-cifar10.yaml"
    code, out, _ = command("layout", path, "--json")
    assert code == 0
    views = augspec.make_plan(augspec.load(path)).views
    read = {
        name: augspec.Layout.from_document(name, slots) for name, slots in json.loads(out).items()
    }
    assert read == {view.name: view.layout for view in views}


def test_layout_of_a_changed_spec(command: Command, specs: Path, bad: Path) -> None:
    path = specs / "simclr-cifar10.yaml"
    code, out, _ = command("layout", path, "--set", "views.first.ops=[]", "--json")
    assert code == 0
    assert json.loads(out)["first"] == []
    code, out, err = command("layout", path, "--set", "views.first.ops.grayscal.p=0")
    assert (code, out) == (2, "")
    assert "--set:1:17: error: " in err
    assert "did you mean 'grayscale'?" in err
    code, out, err = command("layout", bad)
    assert (code, out) == (2, "")
    assert err.count("\n  ") == 6  # three mistakes, with the line and the carets of each


def test_moments_as_a_list(command: Command, specs: Path) -> None:
    path = specs / "byol-cifar10.yaml"
    wanted = ("layout", path, "--format", "equimod", "--moments", "--draws", "2000", "--json")
    code, out, err = command(*wanted)
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)}
    assert list(rows)[:5] == ["top", "left", "height", "width", "flip"]
    assert len(rows) == 18
    solarize = rows["solarize"]
    assert solarize["mean"] == pytest.approx(0.1) and solarize["std"] == pytest.approx(0.3)
    assert solarize["stderr"] == 0 and solarize["exact"]
    top = rows["top"]
    assert not top["exact"] and top["draws"] == 2000
    assert 0 < top["stderr"] < 0.1 and abs(top["mean"] - 4.31) < 6 * top["stderr"]
    first = json.loads(command(*wanted, "--view", "first", "--covariance")[1])
    assert first[-1]["views"] == ["first"] and first[-1]["mean"] == 0
    assert len(first) == len(first[0]["covariance"]) == 18
    code, out, _ = command("layout", path, "--moments", "--json", "--draws", "2000")
    layout = augspec.make_plan(augspec.load(path)).views[1].layout
    assert [row["name"] for row in json.loads(out)] == list(layout.column_names)


def test_moments_of_views_with_different_layouts(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "version: 1\nname: t\nviews:\n  a: {ops: [{op: invert, p: 0.5}]}\n"
        "  b: {ops: [{op: grayscale, p: 0.2}]}\n  c: {ops: [{op: invert, p: 0.1}]}\n"
        "  d: {ops: []}\n"
    )
    code, out, _ = command("layout", path, "--moments")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("views")] == [
        "views a + c: 1 columns",
        "views b: 1 columns",
    ]
    code, _, err = command("layout", path, "--view", "d", "--moments")
    assert (code, err) == (2, "error: no code: d\n")
    code, _, err = command("layout", path, "--view", "e")
    assert (code, err) == (2, "error: unknown view 'e' (views: a, b, c, d)\n")


def test_moments_of_images_of_real_sizes(
    command: Command, specs: Path, photos: list[Path], tmp_path: Path
) -> None:
    path = specs / "simclr-imagenet.yaml"
    wanted = ("layout", path, "--format", "equimod", "--moments", "--json", "--draws", "500")
    code, out, err = command(*wanted)
    assert (code, out) == (2, "")
    assert err.startswith("error: the moments depend on the size of the images")
    assert "--size" in err and "--images" in err
    for photo in photos[:3]:
        (tmp_path / photo.name).symlink_to(photo)
    rows = {row["name"]: row for row in json.loads(command(*wanted, "--images", tmp_path)[1])}
    sizes = [Image.open(photo).size[::-1] for photo in photos[:3]]
    for name, largest in (
        ("height", max(h for h, _ in sizes)),
        ("width", max(w for _, w in sizes)),
    ):
        assert largest / 4 < rows[name]["mean"] < largest
    by_hand = [word for h, w in sizes for word in ("--size", f"{h}x{w}")]
    assert json.loads(command(*wanted, *by_hand)[1]) == list(rows.values())
    for wrong in ("0", "3x", "3x4x5", "a", "-3"):
        code, _, err = command(*wanted, f"--size={wrong}")
        assert (code, err) == (
            2,
            f"error: --size must be a side or HEIGHTxWIDTH in pixels, got {wrong!r}\n",
        )


def test_formats_of_a_layout(command: Command, specs: Path, tmp_path: Path) -> None:
    path = specs / "simclr-cifar10.yaml"
    code, out, _ = command("layout", path, "--format", "equimod", "--json")
    assert code == 0
    columns = json.loads(out)
    assert list(columns) == ["first", "second"]
    assert [c["name"] for c in columns["first"]][-2:] == ["hue", "grayscale"]
    assert command("layout", path, "--format", "equimod")[1].startswith("first: 15 columns\n")
    code, _, err = command("layout", path, "--format", "equimd")
    assert code == 2 and "did you mean 'equimod'?" in err
    other = tmp_path / "spec.yaml"
    other.write_text("version: 1\nname: t\nviews: {a: {ops: [{op: rotate}]}}\n")
    for more in ((), ("--moments",)):
        code, out, err = command("layout", other, "--format", "equimod", *more)
        assert (code, out) == (2, "") and "rotate" in err
    assert command("layout", path, "--moments", "--draws", "1")[0] == 2


def test_the_shipped_schema_is_that_of_the_code(
    command: Command, root: Path, tmp_path: Path
) -> None:
    shipped = root / "specs" / "schema" / "augspec.schema.json"
    assert command("schema") == (0, shipped.read_text(), ""), (
        "run: augspec schema --write specs/schema/augspec.schema.json"
    )
    assert command("schema", "--write", tmp_path / "deep" / "s.json") == (0, "", "")
    assert (tmp_path / "deep" / "s.json").read_text() == shipped.read_text()
    code, out, err = command("schema", "--write", tmp_path / "deep")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_a_stale_schema(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    command("schema", "--write", file)
    assert command("schema", "--check", file) == (0, "", "")
    file.write_text(file.read_text().replace("augspec", "other", 1))
    stale = file.read_text()
    code, out, err = command("schema", "--check", file)
    assert (code, out) == (2, "")
    assert err == f"error: {file} is stale; write it anew: augspec schema --write {file}\n"
    assert file.read_text() == stale
    assert command("schema", "--check", tmp_path / "none.json")[0] == 2


def test_the_schema_documents_every_field(command: Command) -> None:
    schema = json.loads(command("schema")[1])
    defined = schema["$defs"]
    for op in OPS.values():
        shown = defined[op.__name__]
        assert shown["properties"]["op"]["const"] == op.tag()
        assert shown["additionalProperties"] is False
        for field in op.model_fields:
            if field != "op":
                assert shown["properties"][field]["description"] == field_docs(op)[field]
    assert {"version", "name", "views"} <= set(schema["properties"])


def test_every_shipped_spec_names_the_schema(specs: Path) -> None:
    for path in specs.glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=", 1)[1]).resolve().is_file()
