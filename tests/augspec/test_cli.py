"""The command line of the language, and the JSON Schema that ships."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import augspec
from augspec.cli import main
from augspec.ops import OPS

BAD = """\
version: 1
name: bad
views:
  original: {ops: [{op: gausian_blur}]}
  first: &view
    ops:
      - {op: horizontal_flip, p: 2}
  second: *view
"""


class Command:
    """Runs the command line in this process, with what it printed since."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        printed = self.capsys.readouterr()
        return end.value.code, printed.out, printed.err


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")
    return Command(capsys)


@pytest.fixture
def specs(root: Path) -> Path:
    return root / "specs" / "augmentations"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path


def test_check_good_specs(command: Command, specs: Path) -> None:
    code, out, err = command("check", specs / "simclr-cifar10.yaml")
    assert (code, err) == (0, "")
    assert out.endswith(".yaml: ok (simclr-cifar10; columns: original 0, first 17, second 17)\n")
    code, out, err = command("check", specs)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(list(specs.glob("*.yaml")))


def test_check_shows_every_mistake_of_every_file(command: Command, specs: Path, bad: Path) -> None:
    good = specs / "quickstart.yaml"
    code, out, err = command("check", bad, good, bad.parent / "none.yaml")
    assert code == 2
    assert out.startswith(f"{good}: ok")
    heads = [line for line in err.splitlines() if "error: " in line]
    assert [head.split("error: ")[0] for head in heads] == [f"{bad}:4:25: ", f"{bad}:7:34: ", ""]
    assert "unknown op 'gausian_blur'; did you mean 'gaussian_blur'?" in heads[0]
    assert "must be <= 1, got 2" in heads[1]
    assert "no such file" in heads[2]


def test_check_folders(command: Command, tmp_path: Path, bad: Path) -> None:
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


def test_check_does_not_import_torch(specs: Path) -> None:
    code = "import sys; from augspec.cli import app; "
    code += "app(sys.argv[1:], result_action='return_value'); assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code, "check", str(specs)], check=True, capture_output=True
    )


def test_layout_as_text(command: Command, specs: Path) -> None:
    code, out, err = command("layout", specs / "byol-cifar10.yaml")
    assert (code, err) == (0, "")
    views = augspec.make_plan(augspec.load(specs / "byol-cifar10.yaml")).views
    assert out == "\n\n".join(view.layout.describe() for view in views) + "\n"
    assert "solarize.threshold" in out


def test_layout_as_json(command: Command, specs: Path) -> None:
    path = specs / "simclr-cifar10.yaml"
    code, out, _ = command("layout", path, "--as-json")
    assert code == 0
    views = augspec.make_plan(augspec.load(path)).views
    read = {
        name: augspec.Layout.from_document(name, slots) for name, slots in json.loads(out).items()
    }
    assert read == {view.name: view.layout for view in views}


def test_layout_of_a_changed_spec(command: Command, specs: Path, bad: Path) -> None:
    path = specs / "simclr-cifar10.yaml"
    code, out, _ = command("layout", path, "--set", "views.first.ops=[]", "--as-json")
    assert code == 0
    assert json.loads(out)["first"] == []
    code, out, err = command("layout", path, "--set", "views.first.ops.grayscal.p=0")
    assert (code, out) == (2, "")
    assert "--set:1:17: error: " in err
    assert "did you mean 'grayscale'?" in err
    code, out, err = command("layout", bad)
    assert (code, out) == (2, "")
    assert err.count("error: ") == 2


def test_ops_lists_all(command: Command) -> None:
    code, out, err = command("ops")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(OPS)


@pytest.mark.parametrize("name", OPS)
def test_ops_shows_one_with_its_fields(command: Command, name: str) -> None:
    code, out, err = command("ops", name)
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert " ".join((OPS[name].__doc__ or "").split()) in text
    for field, info in OPS[name].model_fields.items():
        assert field == "op" or f"{field} " in text
        assert field == "op" or (info.description or "").split(". ")[0][:60] in text
    for parameter in OPS[name]().parameters():
        assert f" {parameter.name} {parameter.unit} " in text


def test_unknown_op(command: Command) -> None:
    code, out, err = command("ops", "GausianBlur")
    assert (code, out) == (2, "")
    assert err.startswith("error: unknown op 'GausianBlur'; did you mean 'gaussian_blur'? (ops: ")
    assert "did you mean" not in command("ops", "zzz")[2]


def test_mistakes_in_the_words(command: Command) -> None:
    code, _, err = command("chek")
    assert code == 2
    assert 'Did you mean "check"?' in err
    assert command("layout")[0] == 2
    assert command("schema", "--wirte", "x")[0] == 2


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


def test_the_schema_documents_every_field(root: Path) -> None:
    text = (root / "specs" / "schema" / "augspec.schema.json").read_text()
    schema = json.loads(text)
    defined = schema["$defs"]
    for op in OPS.values():
        shown = defined[op.__name__]
        assert shown["properties"]["op"]["const"] == op.tag()
        assert shown["additionalProperties"] is False
        for field, info in op.model_fields.items():
            if field != "op":
                assert shown["properties"][field]["description"] == info.description
                assert info.description
    members = defined["View"]["properties"]["ops"]["items"]["oneOf"]
    assert {m["$ref"].split("/")[-1] for m in members} == {op.__name__ for op in OPS.values()}
    assert set(schema["required"]) == {"version", "name", "views"}


def test_every_shipped_spec_names_the_schema(specs: Path) -> None:
    for path in specs.glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=", 1)[1]).resolve().is_file()
