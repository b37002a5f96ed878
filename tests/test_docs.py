"""The pages under docs/: every YAML example that is a whole spec loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import augspec

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: re.search("name: (.*)", text)[1])
def test_every_spec_of_the_language_page_compiles(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where the page's `extends` starts
    assert augspec.make_plan(augspec.loads(text)).views


PYTHON = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
WITH_CODE = [
    page for page in sorted((ROOT / "docs").glob("*.md")) if PYTHON.search(page.read_text())
]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Block after block, as a reader would type them."""
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(code, page.name, "exec"), names)


def test_every_link_leads_to_a_page() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_combinator_and_value_is_on_the_language_page() -> None:
    from augspec.ops import OPS
    from augspec.ops.combinator import Combinator

    for tag, op in OPS.items():
        if issubclass(op, Combinator):
            assert f"`{tag}`" in PAGE, tag
