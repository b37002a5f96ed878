# ruff: noqa: RUF001 (the en dash stands for what was not measured, the minus for differences)
"""Results over seeds as tables, files and a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from rich.console import Console

from equimod.report.collected import (
    Collected,
    Missing,
    Row,
    differences,
    to_csv,
    to_json,
)
from equimod.report.collected_picture import draw_collected, to_png
from equimod.report.collected_table import numbers, render, to_markdown
from equimod.report.style import DPI

GAINS = {"random initialisation": 0.0, "simclr": 10.0, "simclr+equimod": 12.0}
BASES = {"simclr+equimod": "simclr"}
NOISE = (0.3, -0.4, 0.1, 0.9, 0.2, -0.6)


def row(arm: str, seeds: Sequence[int], point: dict[str, object] | None = None) -> Row:
    number = sum(float(v) for v in (point or {}).values() if isinstance(v, int | float))
    accuracy = {seed: 50 + GAINS[arm] + number / 10 + NOISE[seed] for seed in seeds}
    values = {
        "linear/shape": accuracy,
        "knn/shape": {seed: value - 7 - NOISE[-seed] for seed, value in accuracy.items()},
        "probe/retrieval_mrr": {seed: value / 100 for seed, value in accuracy.items()},
        "probe/retrieval_chance_mrr": dict.fromkeys(seeds, 0.2113),
        "throughput/images_per_second": dict.fromkeys(seeds, 1234.4),
    }
    return Row(arm, point or {}, values, trained=arm in ("simclr", "simclr+equimod"))


def collected(
    seeds: Sequence[int] = range(5), points: Sequence[dict[str, object]] = ({},)
) -> Collected:
    pixels = Row("raw pixels", {}, {"knn/shape": {0: 33.1, 1: 33.1}}, trained=False, random=False)
    baseline = row("random initialisation", seeds)
    arms = [row(arm, seeds, point) for point in points for arm in list(GAINS)[1:]]
    return Collected(
        title="quick|start",
        data="shapes, 96 train and 64 test images",
        labels=("shape",),
        paths=tuple(points[0]),
        rows=(pixels, baseline, *arms),
        differences=tuple(differences(arms, BASES)),
    )


EPOCHS = [{"training.epochs": n} for n in (5, 10, 50, 200)]
CROSSED = [{"training.epochs": n, "method.name": m} for n in (5, 10) for m in ("a", "b [c]")]
WORDS = [{"encoder": {"name": "small"}}, {"encoder": {"name": "resnet18"}}]

MARKDOWN = r"""# quick\|start

**Accuracy on the test split, %**

| arm | n | linear shape | k-NN shape |
| :-- | --: | --: | --: |
| raw pixels | – | – | 33.10 |
| random initialisation | 3 | 50.00 ± 0.36 (49.10 to 50.90) | 43.03 ± 0.15 (42.65 to 43.41) |
| simclr | 3 | 60.00 ± 0.36 (59.10 to 60.90) | 53.03 ± 0.15 (52.65 to 53.41) |
| simclr+equimod | 3 | **62.00 ± 0.36 (61.10 to 62.90)** | **55.03 ± 0.15 (54.65 to 55.41)** |
"""


def text(of: Collected, width: int = 120) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render(of))
    return stream.getvalue()


def test_markdown_says_mean_spread_and_interval() -> None:
    shown = to_markdown(collected(range(3)))
    assert shown[: len(MARKDOWN)] == MARKDOWN
    assert "**Differences with the same seed: Accuracy on the test split, %**" in shown
    assert "| simclr+equimod − simclr | 3 | **+2.00 ± 0.00 (+2.00 to +2.00)** |" in shown
    assert "n = 3 seeds (0 to 2) · mean ± standard deviation and 95 % interval" in shown
    assert shown.count("chance 0.211") == 1  # which gives a value, not a difference
    assert shown.count("images/s") == 1  # no difference of what is neither better nor worse


def test_markdown_has_a_column_for_what_was_swept() -> None:
    shown = to_markdown(collected(points=CROSSED))
    assert "| training.epochs | method.name | arm | n | linear shape | k-NN shape |" in shown
    assert "| – | – | random initialisation | 5 |" in shown
    assert "| 10 | b [c] | simclr+equimod | 5 |" in shown
    tables = [part.splitlines() for part in shown.split("\n\n") if part.startswith("|")]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_one_seed_has_a_dash_and_a_reason() -> None:
    shown = to_markdown(collected([2]))
    assert "| simclr | 1 | 60.10 ± – |" in shown
    assert "n = 1 seed (2) · –: one seed has no spread" in shown
    assert "60.10 ± –" in text(collected([2]))


@pytest.mark.parametrize("width", [80, 120, 400])
@pytest.mark.parametrize("points", [[{}], EPOCHS, CROSSED, WORDS])
def test_no_number_is_cut_on_any_terminal(width: int, points: list[dict[str, object]]) -> None:
    shown = text(collected(points=points), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for each in collected(points=points).rows:
        spread = each.spread("linear/shape")
        if spread is not None:
            assert f"{spread.mean:.2f} ± {spread.std:.2f}" in shown
            assert f"{spread.low:.2f} to {spread.high:.2f}" in shown


def test_fewer_seeds_of_one_number_are_counted() -> None:
    whole = collected()
    values = {**whole.rows[3].values, "linear/shape": {0: 62.0, 1: 63.0}}
    arm = Row("simclr+equimod", {}, values)
    mixed = Collected("t", "d", ("shape",), (), (*whole.rows[:3], arm))
    assert "62.50 ± 0.71 (n = 2)" in text(mixed)
    shorter = Collected("t", "d", ("shape",), (), (*whole.rows[:3], row("simclr+equimod", [0, 1])))
    assert "n = 2" in text(shorter) and "n = 2 or 5 seeds" in text(shorter)


def test_missing_points_are_counted_and_named() -> None:
    missing = tuple(Missing(f"seed={k}", "not started" if k else "not finished") for k in range(3))
    partial = Collected("t", "d", ("shape",), (), collected().rows, missing=missing, notes=("a",))
    for shown in (" ".join(text(partial).split()), to_markdown(partial)):
        assert "missing, not finished: 1 (seed=0)" in shown
        assert "missing, not started: 2 (seed=1; seed=2)" in shown
        assert shown.rstrip().endswith("a")
    assert text(Collected("", "", (), (), (), missing=missing)).count("\n") == 2


def test_differences_are_those_of_equal_seeds_alone() -> None:
    first = Row("a", {"x": 1}, {"m": {0: 5.0, 1: 7.0, 2: 9.0}, "only": {0: 1.0}})
    base = Row("b", {"x": 1}, {"m": {1: 3.0, 2: 4.0, 3: 100.0}})
    elsewhere = Row("b", {"x": 2}, {"m": {0: 0.0}})
    (found,) = differences([first, base, elsewhere], {"a": "b"})
    assert (found.label, found.point, found.values) == ("a − b", {"x": 1}, {"m": {1: 4.0, 2: 5.0}})


def test_the_csv_has_a_line_for_every_number() -> None:
    data = collected(points=CROSSED)
    lines = list(csv.DictReader(io.StringIO(to_csv(data))))
    assert len(lines) == sum(len(r.values) for r in (*data.rows, *data.differences))
    (line,) = (
        entry
        for entry in lines
        if (entry["training.epochs"], entry["method.name"], entry["arm"], entry["minus"])
        == ("10", "b [c]", "simclr", "")
        and entry["metric"] == "linear/shape"
    )
    spread = data.rows[-2].spread("linear/shape")
    assert int(line["n"]) == spread.n
    shown = [float(line[name]) for name in ("mean", "std", "low", "high")]
    assert shown == [spread.mean, spread.std, spread.low, spread.high]
    pixels = next(entry for entry in lines if entry["arm"] == "raw pixels")
    assert (pixels["n"], pixels["std"], pixels["training.epochs"]) == ("1", "", "")


def test_the_json_holds_every_seed() -> None:
    data = collected(points=WORDS)
    document = json.loads(to_json(data))
    assert document["sweep"] == ["encoder"]
    last = document["arms"][-1]
    assert last["point"] == {"encoder": {"name": "resnet18"}}
    seeds = last["metrics"]["linear/shape"]["seeds"]
    assert seeds == {str(k): v for k, v in data.rows[-1].values["linear/shape"].items()}
    assert document["differences"][0]["minus"] == "simclr"


def test_ranges_are_drawn_together() -> None:
    assert numbers([0, 1, 2, 4, 6, 7]) == "0 to 2, 4, 6, 7"


def titled(figure: Figure, words: str) -> Axes:
    return next(a for a in figure.axes if words in a.get_title(loc="left"))


@pytest.mark.parametrize("seeds", [range(1), range(2), range(5)])
@pytest.mark.parametrize("points", [[{}], EPOCHS, CROSSED, WORDS])
def test_no_text_overlaps_another_or_leaves_the_picture(
    seeds: range, points: list[dict[str, object]]
) -> None:
    figure = draw_collected(collected(seeds, points))
    figure.canvas.draw()
    width, height = figure.get_size_inches() * DPI
    boxes = []
    for label in figure.findobj(Text):
        if not label.get_visible() or not label.get_text().strip() or _undrawn(label):
            continue
        box = label.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, label
        boxes.append((label.get_text(), box))
    assert len(boxes) > 20
    for k, (name, box) in enumerate(boxes):
        for other_name, other in boxes[k + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            along = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across < 1 or along < 1, f"{name!r} overlaps {other_name!r}"


def _undrawn(label: Text) -> bool:
    """Tick labels beyond the axis's ends."""
    for axes in label.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for other, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True):
                if other is label:
                    return not low - 1e-9 <= place <= high + 1e-9
    return False


def test_a_swept_number_gives_curves_through_the_means() -> None:
    data = collected(points=EPOCHS)
    axes = titled(draw_collected(data), "(a) linear shape")
    assert axes.get_xlabel() == "training.epochs" and axes.get_xscale() == "log"
    curve = next(line for line in axes.lines if len(line.get_xdata()) == len(EPOCHS))
    means = [r.spread("linear/shape").mean for r in data.rows if r.arm == "simclr"]
    assert list(curve.get_xdata()) == [5, 10, 50, 200]
    assert list(curve.get_ydata()) == means
    dots = sum(len(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) == 5)
    assert dots == 2 * 4 * 5


def test_words_give_a_line_of_dots_for_each_row() -> None:
    data = collected(points=WORDS)
    axes = titled(draw_collected(data), "(a) linear shape")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "raw pixels" and names[-1] == 'simclr+equimod, encoder={"name": "resnet18"}'
    (dots,) = (c.get_offsets() for c in axes.collections if len(c.get_offsets()) > 1)
    values = [v for each in data.rows for v in each.values.get("linear/shape", {}).values()]
    assert dots[:, 0].tolist() == values


@pytest.mark.parametrize(("count", "strokes"), [(1, 0), (2, 3)])
def test_a_single_seed_is_a_dot_without_a_stroke(count: int, strokes: int) -> None:
    axes = titled(draw_collected(collected(range(count))), "(a) linear shape")
    upright = [
        segment
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for segment in lines.get_segments()
        if segment[0, 0] == segment[1, 0]
    ]
    assert len(upright) == strokes


def test_ranks_are_drawn_of_the_probe_and_of_the_arms_own_heads() -> None:
    def titles(data: Collected) -> str:
        return " ".join(axes.get_title(loc="left") for axes in draw_collected(data).figure.axes)

    with_probe = collected()
    own = {"equivariance/retrieval_mrr": {0: 0.6, 1: 0.7}}
    rows = tuple(replace(r, values={**r.values, **own}) for r in with_probe.rows)
    assert "own head" not in titles(with_probe)
    both = titles(replace(with_probe, rows=rows))
    pairs = zip(with_probe.rows, rows, strict=True)
    only = tuple(new if new.arm == "simclr+equimod" else old for old, new in pairs)
    assert "own head" not in titles(replace(with_probe, rows=only))
    assert "retrieval MRR, probe" in both and "retrieval MRR, own head" in both
    bare = tuple(
        replace(r, values={k: v for k, v in r.values.items() if not k.startswith("probe/")})
        for r in rows
    )
    alone = titles(replace(with_probe, rows=bare, differences=()))
    assert "retrieval MRR, own head" in alone and "probe" not in alone


def test_the_picture_is_1600_wide_and_the_same_each_time(tmp_path: Path) -> None:
    first = to_png(collected())
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.format == "PNG" and picture.width == 1600
    assert to_png(collected()) == first


def test_a_huge_sweep_still_is_a_picture() -> None:
    points = [{"encoder": f"e{k}"} for k in range(100)]
    with Image.open(io.BytesIO(to_png(collected(range(2), points)))) as picture:
        assert picture.height < 15_000
