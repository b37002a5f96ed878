"""`augspec layout` and `augspec schema`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
