"""The README is the front door: its code runs, its specs load, its commands are those of CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import augspec
from augspec import SpecError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})


def test_yaml_loads_and_the_error_shown_is_the_error_given() -> None:
    (text,) = blocks("yaml")
    assert augspec.loads(text).name == "example"
    (shown,) = blocks("text")
    with pytest.raises(SpecError) as error:
        augspec.loads(text.replace("brightness", "brigtness"), "example.yaml")
    assert str(error.value).strip() == shown.strip()


def test_the_test_command_is_that_of_ci() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    tests = [line for line in commands if line.endswith("pytest")]
    assert tests and tests[0] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_file_named_exists() -> None:
    for path in re.findall(r"(?:specs|docs|tests|augspec)/[\w./-]*\.\w+", README):
        assert (ROOT / path).exists(), path
