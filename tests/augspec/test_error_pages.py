"""Every code has a page, whose examples are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import augspec
from augspec import SpecError
from augspec.language.codes import Code

PAGES = Path(__file__).parents[2] / "docs" / "errors"
CODES = sorted(Code)


def page(code: Code) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def examples(text: str, section: str) -> list[str]:
    """The fenced YAML of one section of a page."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    body = dict(zip(parts[1::2], parts[2::2], strict=True))[section]
    return re.findall(r"^```yaml\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*CODES, "README"}


def test_the_index_lists_every_page_by_its_title() -> None:
    rows = re.findall(r"^\| \[(.*)\]\((.*)\) \| (.*) \|$", (PAGES / "README.md").read_text(), re.M)
    titles = [page(code).split("\n", 1)[0].removeprefix(f"# {code}: ") for code in CODES]
    assert rows == [
        (code.value, f"{code}.md", title) for code, title in zip(CODES, titles, strict=True)
    ]


@pytest.mark.parametrize("code", CODES)
def test_a_page_has_its_parts(code: Code) -> None:
    text = page(code)
    assert text.startswith(f"# {code}: ")
    assert re.findall(r"^## (.*)$", text, re.M) == ["Broken", "Fixed", "If it is meant"]
    assert len(text.split("## Broken")[0].split()) > 40  # says what it means, and why it matters


@pytest.mark.parametrize("code", CODES)
def test_the_broken_example_has_this_mistake_and_no_other(code: Code) -> None:
    (example,) = examples(page(code), "Broken")
    with pytest.raises(SpecError) as error:
        augspec.loads(example)
    assert {found.code for found in error.value.diagnostics} == {code}


@pytest.mark.parametrize("code", CODES)
def test_the_other_examples_are_right(code: Code) -> None:
    (fixed,) = examples(page(code), "Fixed")
    for example in [fixed, *examples(page(code), "If it is meant")]:
        augspec.make_plan(augspec.loads(example))
