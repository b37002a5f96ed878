"""`docs/formats.md`: tables that the specs give, an example that runs, numbers that are right."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torchvision.io import ImageReadMode, decode_image

from augspec.formats import FORMATS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Thousands of small draws: threads would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = ROOT / "benchmarks" / "format_constants.py"
    spec = importlib.util.spec_from_file_location("format_constants", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_those_of_today(tables: ModuleType) -> None:
    """Otherwise: `python benchmarks/format_constants.py --write`."""
    assert tables.filled(PAGE) == PAGE
    assert (
        PAGE.count("<!-- begin") == PAGE.count("<!-- end -->") == 4 + 4 + 1 + len(tables.RELEASED)
    )


def test_the_sizes_are_those_of_the_photographs(tables: ModuleType, photos: list[Path]) -> None:
    found = [decode_image(str(path), ImageReadMode.UNCHANGED).shape[-2:] for path in photos]
    assert sorted(tables.photo_sizes()) == sorted(tuple(size) for size in found)


def test_the_numbers_in_the_text(tables: ModuleType) -> None:
    mean, std = tables.BYOL[0][2], tables.BYOL[1][2]
    assert (
        f"+{(1 - mean) / std:.2f} standard deviations. The true one is +{(1 - 0.1) / 0.3:.0f}"
        in PAGE
    )
    true = {row["name"]: row for row in tables.true_moments("byol-cifar10").document()}
    for k, name in ((0, "blur"), (2, "solarize")):
        assert tables.BYOL[0][k] / true[name]["mean"] == pytest.approx(0.5, abs=0.01)
    ratios = [tables.BYOL[1][k] / true[n]["std"] for k, n in ((0, "blur"), (2, "solarize"))]
    assert "{:.2f} and {:.2f} of them".format(*ratios) in re.sub(r"\s+", " ", PAGE)


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["vectors"]["first"].shape == (8, 18)
    assert names["vectors"]["first"].dtype == torch.float32
    assert names["pairs"]["first,second"].shape == (8, 11)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_section_with_its_source(name: str) -> None:
    section = PAGE.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    form = FORMATS[name]
    assert f"{form.paper}. Code: {form.code}." in section
    for word in (w for w in vars(form) if w != "normalize"):
        assert f"{word}=" in section  # its options
