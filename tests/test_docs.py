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
