from __future__ import annotations

import io

from rich.console import Console

from equimod.report.results import ArmResult, RunSummary
from equimod.report.table import grids, render, to_markdown

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
            name="simclr + equimod",
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


def text(summary: RunSummary, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(render(summary))
    return stream.getvalue()


def test_cells_missing_values_and_the_best() -> None:
    accuracy, own, probed = grids(SUMMARY)
    assert accuracy.headers == (
        "",
        "linear\nshape %",
        "linear\ncolour %",
        "k-NN\nshape %",
        "training\nimages/s",
    )
    assert accuracy.cells == (
        ("raw pixels", "24.10", "51.20", "–", "–"),  # noqa: RUF001
        ("random [init]", "35.40", "–", "28.00", "–"),  # noqa: RUF001
        ("simclr | λ", "72.80", "50.00", "–", "1,234"),  # noqa: RUF001
        ("simclr + equimod", "72.80", "81.25", "–", "798"),  # noqa: RUF001
    )
    # 72.804 and 72.801 look the same, so both are marked; a single value is no best
    assert accuracy.best == {(2, 1), (3, 1), (3, 2), (2, 4)}
    assert accuracy.untrained == 2
    assert [row[0] for row in own.cells] == ["simclr + equimod"] and not own.best
    assert [row[0] for row in probed.cells] == ["random [init]", "simclr | λ", "simclr + equimod"]
    assert probed.untrained == 1 and probed.best == {(2, 1), (2, 2)}


def test_no_number_is_cut_at_eighty_columns() -> None:
    shown = text(SUMMARY, 80)
    for grid in grids(SUMMARY):
        for row in grid.cells:
            assert all(cell in shown for cell in row)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_caption_has_the_data_the_seed_and_chance() -> None:
    shown = " ".join(text(SUMMARY, 100).split())
    assert "shapes, 4,096 train and 1,024 test images · seed 0" in shown
    assert "MRR by chance 0.211" in shown
    other = SUMMARY.arms[0].model_copy(update={"seed": 7})
    several = SUMMARY.model_copy(update={"arms": (*SUMMARY.arms, other)})
    assert "seeds 0, 7" in text(several, 100)


def test_markdown_is_a_table_with_the_best_bold() -> None:
    lines = to_markdown(SUMMARY).splitlines()
    assert "| simclr + equimod | **72.80** | **81.25** | – | 798 |" in lines  # noqa: RUF001
    assert any(line.startswith(r"| simclr \| λ | **72.80** |") for line in lines)
    tables = [line for line in lines if line.startswith("|")]
    widths = {line.replace(r"\|", "").count("|") for line in tables[:6]}
    assert widths == {6}


def test_a_run_without_labels_has_no_accuracy_table() -> None:
    bare = RunSummary(title="t", data="d", labels=(), arms=(ArmResult(name="byol", seed=1),))
    assert grids(bare) == ()
    assert "t · d · seed 1" in text(bare, 80)
