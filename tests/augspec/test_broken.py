"""Specs with mistakes that people make, and what they are told, word for word.

Each `broken/NNN-name.yaml` (or `.json`) stands beside a `.txt` with the whole text of the error.
After a change of the messages on purpose, write the texts anew and read each of them:

    AUGSPEC_UPDATE_BROKEN=1 pytest tests/augspec/test_broken.py && git diff tests/augspec/broken

The numbers: 0xx YAML and JSON, 1xx types and names, 2xx drawn values, 3xx habits from torchvision,
4xx versions, ids and combinators, 5xx meaning (the code is in the name), 6xx `extends` and `let`.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pytest

import augspec
from augspec import SpecError
from augspec.language.codes import Code
from augspec.ops import OPS

BROKEN = Path(__file__).parent / "broken"
UPDATE = bool(os.environ.get("AUGSPEC_UPDATE_BROKEN"))
SPECS = sorted(p for p in BROKEN.iterdir() if p.suffix in (".yaml", ".json"))


def told(path: Path) -> SpecError:
    with pytest.raises(SpecError) as error:
        augspec.load(path.name)
    return error.value


def stable(text: str) -> str:
    """The text without what depends on the place of the project, and on which ops there are."""
    return text.replace(os.fspath(BROKEN), "FOLDER").replace(", ".join(OPS), "ALL OPS") + "\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_what_a_person_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    found, expected = stable(str(told(path))), path.with_suffix(".txt")
    if UPDATE:
        expected.write_text(found, encoding="utf-8")
    wanted = expected.read_text(encoding="utf-8") if expected.exists() else ""
    if found != wanted:
        lines = [text.splitlines(keepends=True) for text in (wanted, found)]
        pytest.fail("".join(difflib.unified_diff(*lines, expected.name, "found")), pytrace=False)


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_every_mistake_has_a_place_inside_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    for diagnostic in told(path).diagnostics:
        position = diagnostic.position
        assert position is not None
        lines = re.split(r"\r\n|\r|\n", Path(position.file).read_text(encoding="utf-8"))
        line = lines[position.line - 1]
        assert diagnostic.source_line == line
        assert 1 <= position.column <= len(line) + 1
        assert diagnostic.span >= 1


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_code_in_a_name_is_the_code_of_the_mistake(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    named = re.search(r"AS\d+", path.stem)
    codes = {diagnostic.code for diagnostic in told(path).diagnostics}
    assert codes == {Code(named[0]) if named else None}


def test_every_code_is_met() -> None:
    named = {match[0] for p in SPECS if (match := re.search(r"AS\d+", p.stem))}
    assert named == set(Code)


def test_no_expected_text_is_left_over() -> None:
    texts = {p.stem for p in BROKEN.glob("*.txt")}
    assert texts == {p.stem for p in SPECS}
    numbers = [p.name[:3] for p in SPECS]
    assert len(numbers) == len(set(numbers)), "two specs have one number"
