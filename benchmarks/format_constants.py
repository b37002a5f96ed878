"""The constants that EquiMod's releases standardise with, beside the moments from the specs.

Prints the generated parts of `docs/formats.md`; `--write` puts them into the page, between its
`<!-- begin ... -->` and `<!-- end -->` marks. Half a minute.

    python benchmarks/format_constants.py --write
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

import augspec
from augspec.codes.statistics import ColumnStatistics
from augspec.formats import format_columns, named
from augspec.formats.moments import format_moments
from augspec.language.files import write_atomically
from augspec.language.spec import Spec
from augspec.ops.contract import Size

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "formats.md"
RECIPES = ROOT / "specs" / "augmentations"
SIZES = Path(__file__).with_name("photo_sizes.csv")

DRAWS = {"cifar10": 2**16, "imagenet": 2**13}
"""How many samples are drawn for the columns of the box; every sample has two views."""

BOX_CIFAR = ([4.3122, 4.3216, 23.369, 23.374], [3.9740, 3.9851, 4.9544, 4.9539])
BOX_IMAGENET = ([68.162, 99.199, 269.33, 274.57], [77.370, 98.681, 136.86, 143.49])
SWITCHES_CIFAR = ([0.49998, 0.80087], [0.5000, 0.3993])
SWITCHES_IMAGENET = ([0.49905, 0.80054], [0.50000, 0.39959])
ORDER_CIFAR = ([1.2025, 1.4007, 1.5964, 1.8004], [1.1651, 1.0210, 1.0200, 1.1669])
ORDER_IMAGENET = ([1.1998, 1.3994, 1.6014, 1.7995], [1.1661, 1.0201, 1.0201, 1.1657])
COLOUR_CIFAR = (
    [0.99993, 1.0002, 0.99986, 2.2321e-07, 0.19965],
    [0.2066, 0.2068, 0.2066, 0.0517, 0.3997],
)
COLOUR_IMAGENET = (
    [1.0001, 1.0000, 1.0005, 1.5640e-04, 0.20018],
    [0.41347, 0.41323, 0.41349, 0.10333, 0.40013],
)
CIFAR = (BOX_CIFAR, SWITCHES_CIFAR, ORDER_CIFAR, COLOUR_CIFAR)
IMAGENET = (BOX_IMAGENET, SWITCHES_IMAGENET, ORDER_IMAGENET, COLOUR_IMAGENET)
BLUR = ([0.50030, 0.52507], [0.50000, 0.65251])
BYOL = ([0.27256, 0.52507, 0.050149], [0.30381, 0.65251, 0.064719])

RELEASED = {
    "simclr-cifar10": CIFAR,
    "simclr-imagenet": (*IMAGENET, BLUR),
    "byol-cifar10": (*CIFAR, BYOL),
    "byol-imagenet": (*IMAGENET, BYOL),
}
"""`p_mean` and `p_std` of src/main.py, ADevillers/EquiMod: SimCLR's at 908c7b4, BYOL's at 5c936cf.

The two releases agree in all the columns that both have but blur: BYOL's were not made anew.
"""

EXAMPLES = {
    "equimod": ("byol-cifar10", ("first",)),
    "augself": ("byol-cifar10", ("first", "second")),
    "cassle": ("augself-stl10", ("first",)),
    "difference": ("byol-cifar10", ("first", "second")),
}
"""The recipe and the views of which the page shows the columns of each format."""


def photo_sizes() -> list[Size]:
    """Height and width of each photograph."""
    rows = [line.split(",") for line in SIZES.read_text().splitlines()[1:]]
    return [(int(h), int(w)) for h, w, count in rows for _ in range(int(count))]


def load(recipe: str) -> Spec:
    """A published recipe."""
    return augspec.load(RECIPES / f"{recipe}.yaml")


@cache
def true_moments(recipe: str) -> ColumnStatistics:
    """What follows from the spec, over both views, as EquiMod pools them."""
    data = recipe.rpartition("-")[2]
    sizes = photo_sizes() if data == "imagenet" else None
    return format_moments(load(recipe), "equimod", sizes=sizes, draws=DRAWS[data])


def released(recipe: str) -> list[tuple[float, float]]:
    """The released mean and standard deviation of each column."""
    parts = RELEASED[recipe]
    return [pair for means, stds in parts for pair in zip(means, stds, strict=True)]


def constants_table(recipe: str) -> Iterator[str]:
    """The released constants beside the true moments, and what standardising with them gives."""
    true = true_moments(recipe)
    yield "| column | released mean | true mean | released std | true std | z mean | z std |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    rows = zip(true.document(), released(recipe), strict=True)
    for row, (mean, std) in rows:
        z, ratio = (row["mean"] - mean) / std, row["std"] / std
        cells = [
            f"`{row['name']}`",
            number(mean),
            number(row["mean"], row["stderr"]),
            number(std),
            number(row["std"], row["std_stderr"]),
            f"{z + 0.0:.2f}".replace("-0.00", "0.00"),
            f"{ratio:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def bits_table() -> Iterator[str]:
    """What BYOL's bits become by the released constants, and by the true ones."""
    recipe = "byol-cifar10"
    true = true_moments(recipe)
    yield "| bit | off, released | on, released | off, true | on, true |"
    yield "|---|--:|--:|--:|--:|"
    for row, (mean, std) in zip(true.document(), released(recipe), strict=True):
        if row["name"] in ("flip", "jitter", "grayscale", "blur", "solarize"):
            pairs = ((mean, std), (row["mean"], row["std"]))
            values = [f"{(x - m) / s:.2f}" for m, s in pairs for x in (0, 1)]
            yield f"| `{row['name']}` | {' | '.join(values)} |"


def columns_table(name: str) -> Iterator[str]:
    """The columns of a format."""
    recipe, views = EXAMPLES[name]
    yield "| # | column | unit |"
    yield "|--:|---|---|"
    plan = augspec.make_plan(load(recipe))
    for k, column in enumerate(format_columns(name, plan, *views)):
        yield f"| {k} | `{column.name}` | {column.unit} |"


def source(name: str) -> Iterator[str]:
    """Who published a format, and where."""
    form = named(name)
    yield f"{form.paper}. Code: {form.code}."


def number(value: float, error: float = 0.0) -> str:
    """Five digits; as many as the standard error has, where there is one."""
    if error:
        places = max(0, 1 - math.floor(math.log10(error)))
        return f"{value:.{places}f} ± {error:.{places}f}"
    return f"{value:.5g}" if abs(value) >= 1e-9 else "0"


def part(kind: str, name: str) -> str:
    """A generated part of the page."""
    makers = {"constants": constants_table, "columns": columns_table, "source": source}
    return "\n".join(bits_table() if kind == "bits" else makers[kind](name))


def filled(page: str) -> str:
    """The page with its generated parts made anew."""
    pattern = r"(<!-- begin (\w+) ([\w-]+) -->\n).*?(<!-- end -->)"
    return re.sub(
        pattern,
        lambda m: m[1] + part(m[2], m[3]) + "\n" + m[4],
        page,
        flags=re.DOTALL | re.MULTILINE,
    )


def main() -> None:
    """Prints the page's generated parts, or writes them."""
    torch.set_num_threads(1)  # thousands of small draws: threads would only wait for one another
    page = filled(PAGE.read_text(encoding="utf-8"))
    if "--write" in sys.argv[1:]:
        write_atomically(PAGE, page)
    else:
        for match in re.finditer(r"<!-- begin (.*?) -->\n(.*?)\n<!-- end -->", page, re.DOTALL):
            print(f"{match[1]}\n\n{match[2]}\n")


if __name__ == "__main__":
    main()
