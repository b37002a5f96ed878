"""`augspec check` in its three formats, quick and without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import augspec
from augspec.cli.check import workflow_command
from augspec.language.codes import Code
from augspec.language.diagnostics import Diagnostic, Position

Command = Callable[..., tuple[int, str, str]]

TARGET = 0.5
"""Seconds that checking one file takes at most on an idle machine."""


def test_good_specs(command: Command, specs: Path) -> None:
    code, out, err = command("check", specs / "simclr-cifar10.yaml")
    assert (code, err) == (0, "")
    assert out.endswith(".yaml: ok (simclr-cifar10; columns: original 0, first 17, second 17)\n")
    code, out, err = command("check", specs)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(list(specs.glob("*.yaml")))


def test_every_mistake_of_every_file(command: Command, specs: Path, bad: Path) -> None:
    good = specs / "quickstart.yaml"
    code, out, err = command("check", bad, good, bad.parent / "none.yaml")
    assert code == 2
    assert out.startswith(f"{good}: ok")
    heads = [line for line in err.splitlines() if re.search(r"error(\[\w+\])?: ", line)]
    places = [re.split(r"error(?:\[\w+\])?: ", head)[0] for head in heads]
    assert places == [f"{bad}:4:25: ", f"{bad}:7:34: ", f"{bad}:8:35: ", ""]
    assert "unknown op 'gausian_blur'; did you mean 'gaussian_blur'?" in heads[0]
    assert "must be <= 1, got 2" in heads[1]
    assert "error[AS105]: must lie in [0, 1], got 128; 128 of 255 is 0.50196" in heads[2]
    assert "no such file" in heads[3]


def test_folders(command: Command, tmp_path: Path, bad: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.json").write_text('{"version": 1, "name": "one", "views": {"a": {}}}')
    (tmp_path / "deep" / "notes.txt").write_text("not a spec")
    code, out, err = command("check", tmp_path / "deep")
    assert (code, err) == (0, "")
    assert out.endswith("one.json: ok (one; columns: a 0)\n")
    code, out, err = command("check", tmp_path)
    assert code == 2
    assert "one.json: ok" in out
    assert "bad.yaml:4:25" in err
    for words in ([], [tmp_path / "deep" / ".."]):
        bad.unlink(missing_ok=True)
        (tmp_path / "deep" / "one.json").unlink(missing_ok=True)
        assert command("check", *words) == (2, "", "augspec check: no files to check\n")


def test_json(process: Command, specs: Path, bad: Path) -> None:
    good, missing = specs / "byol-cifar10.yaml", bad.parent / "none.yaml"
    code, out, err = process("check", good, bad, missing, "--format", "json")
    assert (code, err) == (2, "")
    first, second, third = json.loads(out)["files"]
    plan = augspec.make_plan(augspec.load(good))
    assert first == {
        "file": str(good),
        "ok": True,
        "name": "byol-cifar10",
        "hash": plan.hash,
        "columns": {"original": 0, "first": 20, "second": 20},
        "diagnostics": [],
    }
    assert (second["ok"], second["name"], second["hash"]) == (False, None, None)
    found = second["diagnostics"][2]
    assert found == {
        "file": str(bad),
        "line": 8,
        "column": 35,
        "end_column": 38,
        "code": "AS105",
        "severity": "error",
        "message": "must lie in [0, 1], got 128; 128 of 255 is 0.50196",
    }
    line = bad.read_text().splitlines()[found["line"] - 1]
    assert line[found["column"] - 1 : found["end_column"] - 1] == "128"
    (lost,) = third["diagnostics"]
    assert (lost["file"], lost["line"], lost["column"]) == (str(missing), None, None)
    assert process("check", good, "--format", "json")[0] == 0


def test_github(command: Command, bad: Path) -> None:
    code, out, err = command("check", bad, "--format", "github")
    assert (code, err) == (2, "")
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[2] == (
        f"::error file={bad},line=8,col=35,endColumn=38,title=AS105::must lie in [0, 1], "
        "got 128; 128 of 255 is 0.50196"
    )


def test_github_escapes() -> None:
    diagnostic = Diagnostic(Position("a,b:c%.yaml", 3, 5), "100%\r\nnext: a, b", "", 2, Code.LIKE)
    assert workflow_command(Path("x"), diagnostic) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=3,col=5,endColumn=7,title=AS112"
        "::100%25%0D%0Anext: a, b"
    )
    assert workflow_command(Path("x.yaml"), Diagnostic(None, "gone")) == (
        "::error file=x.yaml,title=augspec::gone"
    )


def test_overrides_and_parents_outside(command: Command, specs: Path, tmp_path: Path) -> None:
    code, out, err = command("check", specs / "quickstart.yaml", "--set", "name=other")
    assert (code, err) == (0, "")
    assert "ok (other;" in out
    (tmp_path / "base.yaml").write_text("version: 1\nname: base\nviews: {a: {}}\n")
    (tmp_path / "in").mkdir()
    child = tmp_path / "in" / "child.yaml"
    child.write_text("version: 1\nextends: ../base.yaml\nname: child\n")
    code, _, err = command("check", child)
    assert code == 2
    assert "--allow-outside" in err
    assert command("check", child, "--allow-outside")[0] == 0


def test_is_quick_and_imports_little(specs: Path) -> None:
    code = (
        "import sys, augspec.cli\n"
        "status = augspec.cli.run(sys.argv[1:])\n"
        "heavy = {'torch', 'rich', 'matplotlib', 'numpy', 'kornia'} & set(sys.modules)\n"
        "assert status == 0 and not heavy, (status, heavy)\n"
    )
    words = [sys.executable, "-c", code, "check", str(specs / "quickstart.yaml")]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    print(f"checking one file: {min(times):.2f} s, target {TARGET} s")
    assert min(times) < 4 * TARGET  # the machine that runs the tests may be busy


@pytest.mark.parametrize("format", ["text", "json", "github"])
def test_other_formats_than_these_are_refused(command: Command, format: str, specs: Path) -> None:
    assert command("check", specs / "quickstart.yaml", "--format", format)[0] == 0
    code, out, err = command("check", specs / "quickstart.yaml", "--format", format[:-1])
    assert (code, out) == (2, "")
    assert err.startswith("error: Invalid value")
