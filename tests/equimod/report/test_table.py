# ruff: noqa: RUF001 (the en dash stands for what was not measured)
from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from equimod.report.results import ArmResult, RunSummary
from equimod.report.table import lay_out, render, to_markdown

ACCURACY = "Accuracy on the test split, %"
FRESH = "Equivariance, fresh head on the frozen encoder"
OWN = "Equivariance, the arm's own head"
BOLD = "\x1b[1m"
STYLE = re.compile(r"\x1b\[\d*m")
NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")

SUMMARY = RunSummary(
    title="quickstart",
    data="shapes, 4,096 train and 1,024 test images",
    labels=("shape", "colour"),
    baselines=(
        ArmResult(name="raw pixels", metrics={"linear/shape": 24.1, "linear/colour": 51.2}),
        ArmResult(
            name="random [init]",
            seed=0,
            metrics={
                "linear/shape": 35.4,
                "knn/shape": 28.0,
                "probe/absolute": -0.05,
                "probe/retrieval_mrr": 0.31,
                "probe/retrieval_chance_mrr": 0.2113,
            },
        ),
    ),
    arms=(
        ArmResult(
            name="simclr | λ",
            seed=0,
            metrics={
                "linear/shape": 72.804,
                "linear/colour": 50.0,
                "throughput/images_per_second": 1234.4,
                "probe/absolute": 0.11,
                "probe/retrieval_mrr": 0.45,
                "probe/retrieval_chance_mrr": 0.2113,
            },
        ),
        ArmResult(
            name="simclr+equimod",
            seed=0,
            metrics={
                "linear/shape": 72.801,
                "linear/colour": 81.25,
                "throughput/images_per_second": 798.1,
                "equivariance/absolute": 0.41,
                "equivariance/relative": 3.1,
                "probe/absolute": 0.34,
                "probe/retrieval_mrr": 0.83,
                "probe/retrieval_chance_mrr": 0.2113,
            },
        ),
    ),
)

UPRIGHT = """\
╭──────────────────────────────────────┬────────┬────────┬──────────┬──────────╮
│                                      │    raw │ random │ simclr | │   simclr │
│                                      │ pixels │ [init] │        λ │ +equimod │
├──────────────────────────────────────┼────────┼────────┼──────────┼──────────┤
│ Accuracy on the test split, %        │        │        │          │          │
│ linear shape                         │  24.10 │  35.40 │    72.80 │    72.80 │
│ linear colour                        │  51.20 │      – │    50.00 │    81.25 │
│ k-NN shape                           │      – │  28.00 │        – │        – │
├──────────────────────────────────────┼────────┼────────┼──────────┼──────────┤
│ Equivariance, fresh head on the      │        │        │          │          │
│ frozen encoder                       │        │        │          │          │
│ Δcos                                 │      – │ -0.050 │    0.110 │    0.340 │
│ retrieval MRR (chance 0.211)         │      – │  0.310 │    0.450 │    0.830 │
├──────────────────────────────────────┼────────┼────────┼──────────┼──────────┤
│ Equivariance, the arm's own head     │        │        │          │          │
│ Δcos                                 │      – │      – │        – │    0.410 │
│ ratio of means                       │      – │      – │        – │     3.10 │
├──────────────────────────────────────┼────────┼────────┼──────────┼──────────┤
│ Training                             │        │        │          │          │
│ images/s                             │      – │      – │    1,234 │      798 │
╰──────────────────────────────────────┴────────┴────────┴──────────┴──────────╯
quickstart · shapes, 4,096 train and 1,024 test images · seed 0 · best in bold ·
MRR by chance 0.211
"""

MARKDOWN = r"""|  | raw pixels | random [init] | simclr \| λ | simclr+equimod |
| :-- | --: | --: | --: | --: |
| **Accuracy on the test split, %** |  |  |  |  |
| linear shape | 24.10 | 35.40 | **72.80** | **72.80** |
| linear colour | 51.20 | – | 50.00 | **81.25** |
| k-NN shape | – | 28.00 | – | – |
| **Equivariance, fresh head on the frozen encoder** |  |  |  |  |
| Δcos | – | -0.050 | 0.110 | **0.340** |
| retrieval MRR (chance 0.211) | – | 0.310 | 0.450 | **0.830** |
| **Equivariance, the arm's own head** |  |  |  |  |
| Δcos | – | – | – | 0.410 |
| ratio of means | – | – | – | 3.10 |
| **Training** |  |  |  |  |
| images/s | – | – | 1,234 | 798 |

quickstart · shapes, 4,096 train and 1,024 test images · seed 0 · best in bold · MRR by chance 0.211
"""


def text(summary: RunSummary, width: int, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(render(summary))
    return stream.getvalue()


def cells(shown: str) -> list[list[str]]:
    """The cells of a drawn table, line by line."""
    lines = (line for line in shown.splitlines() if line.startswith("│"))
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def with_arms(count: int) -> RunSummary:
    """Copies of the arms under names of their own, each with numbers of its own."""
    arms = [
        SUMMARY.arms[k % 2].model_copy(
            update={
                "name": f"{SUMMARY.arms[k % 2].name}+arm-{k}",
                "metrics": {
                    metric: value if "chance" in metric else value + k
                    for metric, value in SUMMARY.arms[k % 2].metrics.items()
                },
            }
        )
        for k in range(count)
    ]
    return SUMMARY.model_copy(update={"arms": tuple(arms)})


def test_the_whole_table_at_eighty_columns() -> None:
    assert text(SUMMARY, 80) == UPRIGHT


def test_the_best_is_bold_and_nothing_else() -> None:
    lines = [line for line in text(SUMMARY, 80, colour=True).splitlines() if line[0] == "│"]
    bold = [
        [(k, STYLE.sub("", cell).strip()) for k, cell in enumerate(line.split("│")) if BOLD in cell]
        for line in lines
    ]
    assert bold[:2] == [
        [(2, "raw"), (3, "random"), (4, "simclr |"), (5, "simclr")],
        [(2, "pixels"), (3, "[init]"), (4, "λ"), (5, "+equimod")],
    ]
    assert bold[2:] == [
        [(1, ACCURACY)],
        [(4, "72.80"), (5, "72.80")],  # of 72.804 and 72.801, which look the same, both
        [(5, "81.25")],
        [],  # one value is no best
        [(1, "Equivariance, fresh head on the")],
        [(1, "frozen encoder")],
        [(5, "0.340")],
        [(5, "0.830")],
        [(1, OWN)],
        [],
        [],
        [(1, "Training")],
        [],  # speed is no contest
    ]


def test_the_cells_carry_the_best_and_the_missing() -> None:
    grid = lay_out(SUMMARY)
    assert grid.names == ("raw pixels", "random [init]", "simclr | λ", "simclr+equimod")
    assert list(grid.sections) == [ACCURACY, FRESH, OWN, "Training"]
    shape, colour, nearest = grid.sections[ACCURACY]
    assert shape.cells == ("24.10", "35.40", "72.80", "72.80") and shape.best == {2, 3}
    assert colour.cells == ("51.20", "–", "50.00", "81.25") and colour.best == {3}
    assert nearest.cells == ("–", "28.00", "–", "–") and not nearest.best


def test_a_value_that_rounds_to_zero_has_no_sign() -> None:
    pair = tuple(
        ArmResult(name=name, seed=0, metrics={"probe/absolute": value})
        for name, value in (("a", -0.0001), ("b", 0.0002), ("c", -0.0006))
    )
    (line,) = lay_out(RunSummary(title="t", data="d", labels=(), arms=pair)).sections[FRESH]
    assert line.cells == ("0.000", "0.000", "-0.001") and line.best == {0, 1}


def test_more_arms_than_fit_turn_the_table() -> None:
    shown = text(with_arms(4), 80, colour=True)
    plain = STYLE.sub("", shown)
    assert plain.count("╭") == plain.count("╰") == 1
    assert cells(plain) == [
        [ACCURACY, "linear", "linear", "k-NN"],
        ["", "shape", "colour", "shape"],
        ["raw pixels", "24.10", "51.20", "–"],
        ["random [init]", "35.40", "–", "28.00"],
        ["simclr | λ+arm-0", "72.80", "50.00", "–"],
        ["simclr+equimod+arm-1", "73.80", "82.25", "–"],
        ["simclr | λ+arm-2", "74.80", "52.00", "–"],
        ["simclr+equimod+arm-3", "75.80", "84.25", "–"],
        ["Equivariance, fresh head on the frozen", "", "retrieval", ""],
        ["encoder", "", "MRR", ""],
        ["", "", "(chance", ""],
        ["", "Δcos", "0.211)", ""],
        ["random [init]", "-0.050", "0.310", ""],
        ["simclr | λ+arm-0", "0.110", "0.450", ""],
        ["simclr+equimod+arm-1", "1.340", "1.830", ""],
        ["simclr | λ+arm-2", "2.110", "2.450", ""],
        ["simclr+equimod+arm-3", "3.340", "3.830", ""],
        [OWN, "", "ratio of", ""],
        ["", "Δcos", "means", ""],
        ["simclr+equimod+arm-1", "1.410", "4.10", ""],
        ["simclr+equimod+arm-3", "3.410", "6.10", ""],
        ["Training", "images/s", "", ""],
        ["simclr | λ+arm-0", "1,234", "", ""],
        ["simclr+equimod+arm-1", "799", "", ""],
        ["simclr | λ+arm-2", "1,236", "", ""],
        ["simclr+equimod+arm-3", "801", "", ""],
    ]
    numbers = [
        (STYLE.sub("", line).split("│")[1].strip(), STYLE.sub("", cell).strip())
        for line in shown.splitlines()
        for cell in line.split("│")[2:]
        if BOLD in cell and NUMBER.fullmatch(STYLE.sub("", cell).strip())
    ]
    best = ("75.80", "84.25", "3.340", "3.830", "3.410", "6.10")
    assert numbers == [("simclr+equimod+arm-3", number) for number in best]


@pytest.mark.parametrize("count", [1, 2, 6])
def test_one_table_with_every_number_whole(count: int) -> None:
    summary = with_arms(count)
    sections = lay_out(summary).sections.values()
    values = Counter(c for lines in sections for line in lines for c in line.cells if c != "–")
    for width in range(40, 121):
        shown = text(summary, width)
        assert shown.count("╭") == shown.count("╰") == 1 and "…" not in shown, width
        assert max(map(len, shown.splitlines())) <= width
        drawn = [cell for row in cells(shown) for cell in row[1:] if NUMBER.fullmatch(cell)]
        assert Counter(drawn) == values, width


def test_names_are_broken_at_spaces_and_pluses() -> None:
    names = ("byol + equimod", "barlow_twins", "simclr, long run", "a+b+c+d+e+f")
    arms = tuple(
        ArmResult(name=name, seed=0, metrics={"probe/absolute": 0.5, "probe/relative": 1.5})
        for name in names
    )
    shown = text(RunSummary(title="t", data="d", labels=(), arms=arms), 80)
    assert [row[1:] for row in cells(shown)[:2]] == [
        ["byol", "", "simclr,", "a+b+c+d"],
        ["+ equimod", "barlow_twins", "long run", "+e+f"],
    ]


def test_what_nobody_measured_drops_out() -> None:
    idle = ArmResult(name="idle", seed=0, metrics={"knn/other": 3.0})
    grid = lay_out(SUMMARY.model_copy(update={"baselines": (idle,), "arms": SUMMARY.arms[:1]}))
    assert grid.names == ("simclr | λ",)
    labels = {title: [line.label for line in lines] for title, lines in grid.sections.items()}
    assert labels == {
        ACCURACY: ["linear shape", "linear colour"],
        FRESH: ["Δcos", "retrieval MRR (chance 0.211)"],
        "Training": ["images/s"],
    }


def test_a_run_without_numbers_has_a_caption_alone() -> None:
    bare = RunSummary(title="t", data="d", labels=(), arms=(ArmResult(name="byol", seed=1),))
    assert text(bare, 80) == "t · d · seed 1 · best in bold\n"
    assert to_markdown(bare) == "t · d · seed 1 · best in bold\n"


def test_the_caption_names_all_seeds_and_chance_if_it_is_one() -> None:
    other = SUMMARY.arms[0].model_copy(
        update={"seed": 7, "metrics": {"probe/retrieval_chance_mrr": 0.5}}
    )
    several = SUMMARY.model_copy(update={"arms": (*SUMMARY.arms, other)})
    assert to_markdown(several).splitlines()[-1] == (
        "quickstart · shapes, 4,096 train and 1,024 test images · seeds 0, 7 · best in bold"
    )
    assert "| retrieval MRR |" in to_markdown(several)


def test_markdown_is_the_same_table() -> None:
    assert to_markdown(SUMMARY) == MARKDOWN
