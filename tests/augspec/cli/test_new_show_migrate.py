"""`augspec new`, `show` and `migrate`: text that people go on to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import augspec
from augspec.cli import recipes as places
from augspec.cli.recipes import recipes

Command = Callable[..., tuple[int, str, str]]

OLD = """\
# a spec of the draft syntax
name: old
views:
  - name: first
    transforms:
      - {type: horizontal_flip, prob: 0.5}  # as in the paper
"""


def test_new_lists_the_recipes(command: Command, specs: Path) -> None:
    code, out, err = command("new")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == sorted(
        path.stem for path in specs.glob("*.yaml")
    )
    assert "byol-cifar10 " in out


@pytest.mark.parametrize("name", recipes())
def test_new_copies_a_recipe(command: Command, specs: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "deep" / "mine.yaml"
    code, out, err = command("new", name, "-o", target)
    assert (code, err) == (0, "")
    assert out.startswith(f"{target}: begun from {name}")
    recipe = specs / f"{name}.yaml"
    assert augspec.load(target) == augspec.load(recipe)
    old, new = recipe.read_text().splitlines(), target.read_text().splitlines()
    schema = [line for line in new if "$schema" in line]
    assert len(schema) == 2
    for line in schema:  # the comments that lead editors to the schema
        path = line.split("$schema", 1)[1].lstrip("=: ")
        assert (target.parent / path).resolve().is_file()
    alone = not any(line.startswith("extends:") for line in old)
    if alone:  # nothing else has changed
        assert [line for line in new if line not in schema] == [
            x for x in old if "$schema" not in x
        ]
    assert not any(line.startswith("extends:") for line in new)  # it may move on alone


def test_new_never_overwrites(command: Command, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("mine")
    code, out, err = command("new", "quickstart", "-o", target)
    assert (code, out) == (2, "")
    assert err == f"error: {target} exists already; name another file with -o\n"
    assert target.read_text() == "mine"


def test_new_without_a_file_and_unknown_names(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("new", "quickstart")[0] == 0
    assert augspec.load("quickstart.yaml").name == "quickstart"
    code, out, err = command("new", "quikstart")
    assert (code, out) == (2, "")
    assert err.startswith("error: unknown recipe 'quikstart'; did you mean 'quickstart'?")


def test_new_from_an_installed_package(
    command: Command, specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "augspec"
    (package / "recipes").mkdir(parents=True)
    (package / "schema").mkdir()
    text = (specs / "quickstart.yaml").read_text()
    (package / "recipes" / "quickstart.yaml").write_text(text)
    (package / "schema" / "augspec.schema.json").write_text("{}")
    checkout = (tmp_path / "none", tmp_path / "none")
    installed = (package / "recipes", package / "schema")
    monkeypatch.setattr(places, "PLACES", (checkout, installed))
    target = tmp_path / "mine.yaml"
    assert command("new", "quickstart", "-o", target)[0] == 0
    expected = "# yaml-language-server: $schema=site-packages/augspec/schema/augspec.schema.json"
    assert target.read_text().splitlines()[0] == expected
    monkeypatch.setattr(places, "PLACES", (checkout,))
    code, _, err = command("new")
    assert code == 2
    assert err.startswith("error: no recipes found")


def test_show(command: Command, specs: Path, tmp_path: Path) -> None:
    path = specs / "byol-imagenet.yaml"
    change = "views.second.ops.grayscale.p=0.125"
    code, out, err = command("show", path, "--set", change)
    assert (code, err) == (0, "")
    assert augspec.loads(out) == augspec.load(path, [change])
    assert "      - {op: grayscale, p: 0.125}\n" in out


@pytest.mark.parametrize("name", recipes())
def test_what_show_prints_is_the_spec(command: Command, specs: Path, name: str) -> None:
    for words in ([], ["--resolved"]):
        out = command("show", specs / f"{name}.yaml", *words)[1]
        assert augspec.loads(out) == augspec.load(specs / f"{name}.yaml")


def test_show_where_values_came_from(command: Command, specs: Path) -> None:
    path = specs / "quickstart.yaml"
    code, out, _ = command("show", path, "--resolved", "--set", "views.first.ops.grayscale.p=0.1")
    assert code == 0
    lines = {tuple(line.split("  # ")) for line in out.splitlines() if "  # " in line}
    found = {(text.strip(), origin) for text, origin in lines}
    assert ("p: 0.1", "--set:1:29") in found
    assert ("size: 32", f"{path}:9:15") in found
    assert ("antialias: true", "default") in found


def test_migrate_prints_what_would_change(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(OLD)
    code, out, err = command("migrate", file)
    assert (code, err) == (0, "")
    assert out.startswith(f"--- {file}\n+++ {file} (migrated)\n@@ ")
    assert "\n-      - {type: horizontal_flip, prob: 0.5}  # as in the paper\n" in out
    assert "\n+      - {op: horizontal_flip, p: 0.5}  # as in the paper\n" in out
    assert file.read_text() == OLD


def test_migrate_writes(command: Command, tmp_path: Path, specs: Path) -> None:
    file, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    file.write_bytes(OLD.replace("\n", "\r\n").encode())
    new.write_text((specs / "quickstart.yaml").read_text())
    code, out, err = command("migrate", file, new, "--write")
    assert (code, out, err) == (0, f"{file}: migrated\n{new}: as it was\n", "")
    assert b"\r\n" in file.read_bytes() and b"# as in the paper" in file.read_bytes()
    assert augspec.load(file).views["first"].ops[0].tag() == "horizontal_flip"
    assert command("migrate", file) == (0, "", "")


def test_migrate_writes_all_or_nothing(command: Command, tmp_path: Path) -> None:
    file, broken = tmp_path / "old.yaml", tmp_path / "broken.yaml"
    file.write_text(OLD)
    broken.write_text("version: 99\n")
    code, out, err = command("migrate", file, broken, tmp_path / "none.yaml", "--write")
    assert (code, out) == (2, "")
    assert f"{broken}:1:" in err
    assert f"error: cannot read {tmp_path / 'none.yaml'}: " in err
    assert file.read_text() == OLD
    assert command("migrate")[0] == 2
