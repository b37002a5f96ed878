from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from equimod.report.codes import ViewSamples
from equimod.report.overview import Overview, draw_overview, write_overview
from equimod.report.results import ArmResult, RunSummary
from equimod.report.style import DPI, row_colours

OPS = {"resized_crop": 0.12, "horizontal_flip": 0.05, "gaussian_blur": -0.02, "solarize": 0.41}
SLOTS = (
    *("resized_crop.center_y", "resized_crop.center_x", "resized_crop.height"),
    *("horizontal_flip.flip", "color_jitter.brightness", "color_jitter.hue.versin"),
    *("grayscale.gray", "gaussian_blur.sigma", "solarize.on", "solarize.threshold"),
)


def arm(name: str, seed: int, gain: float, equimod: bool) -> ArmResult:
    losses = {"loss/invariance": 5.0} | ({"loss/equivariance": 6.0} if equimod else {})
    return ArmResult(
        name=name,
        seed=seed,
        metrics={
            "linear/shape": 60 + gain,
            "linear/colour": 50 + gain,
            "probe/retrieval_mrr": 0.3 + gain / 100,
            "probe/retrieval_chance_mrr": 0.2113,
        },
        history=tuple(
            {k: v / epoch for k, v in losses.items()}
            | {"epoch": epoch, "knn/shape": 20.0 + epoch, "knn/colour": 30.0 + epoch}
            for epoch in range(1, 11)
        ),
        per_augmentation={
            op: {"absolute": value, "absolute_error": 0.01} for op, value in OPS.items()
        }
        if equimod
        else {},
    )


def summary(arms: int = 2) -> RunSummary:
    named = [
        arm(f"simclr{' + equimod' * (k % 2)}", k // 2, 5.0 * k, bool(k % 2)) for k in range(arms)
    ]
    pixels = ArmResult(name="raw pixels", metrics={"linear/shape": 24.1, "linear/colour": 51.2})
    return RunSummary(
        title="quickstart",
        data="shapes, 4,096 train and 1,024 test images",
        labels=("shape", "colour"),
        baselines=(pixels, arm("random init", 0, 0.0, False)),
        arms=tuple(named),
    )


def samples(count: int = 4, views: int = 2) -> ViewSamples:
    generator = np.random.default_rng(0)
    return ViewSamples(
        images=generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        view_names=[f"view {k}" for k in range(views)],
        views=[generator.random((count, 32, 32, 3)) for _ in range(views)],
        codes=[generator.normal(size=(count, len(SLOTS))) for _ in range(views)],
        slot_names=SLOTS,
    )


def titled(figure: Figure, words: str) -> Axes:
    return next(a for a in figure.axes if words in a.get_title(loc="left"))


def visible_texts(figure: Figure) -> list[Text]:
    found = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [t for t in found if t.get_alpha() != 0]


@pytest.mark.parametrize(("arms", "count", "views"), [(1, 1, 1), (2, 4, 2), (4, 4, 2), (3, 2, 3)])
def test_no_text_overlaps_another_or_leaves_the_picture(arms: int, count: int, views: int) -> None:
    figure = draw_overview(Overview(summary(arms), samples(count, views)))
    figure.canvas.draw()
    width, height = figure.get_size_inches() * DPI
    boxes = []
    for text in visible_texts(figure):
        box = text.get_window_extent()
        if box.width == 0 or _outside_limits(text):
            continue
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
        boxes.append((text.get_text(), box))
    assert len(boxes) > 30
    for k, (name, box) in enumerate(boxes):
        for other_name, other in boxes[k + 1 :]:
            apart = (
                min(box.x1, other.x1) - max(box.x0, other.x0) < 1
                or min(box.y1, other.y1) - max(box.y0, other.y0) < 1
            )
            assert apart, f"{name!r} overlaps {other_name!r}"


def _outside_limits(text: Text) -> bool:
    """Tick labels that matplotlib keeps beyond the limits and does not draw."""
    for axes in text.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            places = zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
            low, high = sorted(axis.get_view_interval())
            for label, place in places:
                if label is text:
                    return not low - 1e-9 <= place <= high + 1e-9
    return False


def test_the_bars_are_the_numbers() -> None:
    data = summary()
    figure = draw_overview(Overview(data, samples()))
    axes = titled(figure, "Linear accuracy")
    heights = sorted(bar.get_height() for bar in axes.patches)
    values = [v for row in data.rows for k, v in row.metrics.items() if k.startswith("linear/")]
    assert heights == sorted(values)
    assert sorted(t.get_text() for t in axes.texts) == sorted(f"{v:.1f}" for v in values)
    gains = titled(figure, "by augmentation")
    assert [bar.get_width() for bar in gains.patches] == list(OPS.values())
    assert [label.get_text() for label in gains.get_yticklabels()] == list(OPS)


def test_the_curves_are_the_history() -> None:
    data = summary()
    figure = draw_overview(Overview(data, samples()))
    (curve,) = titled(figure, "Equivariance loss").lines
    assert list(curve.get_xdata()) == list(range(1, 11))
    assert list(curve.get_ydata()) == [6.0 / epoch for epoch in range(1, 11)]
    assert curve.get_color() == row_colours(data)["simclr + equimod"]
    assert len(titled(figure, "Invariance loss").lines) == 2


def test_the_strips_are_the_codes_relative_to_their_column() -> None:
    shown = samples()
    figure = draw_overview(Overview(summary(), shown))
    meshes = titled(figure, "code of view 1").collections
    drawn = np.concatenate([mesh.get_array() for mesh in meshes])
    scale = np.abs(np.concatenate(shown.codes)).max(axis=0)
    np.testing.assert_allclose(drawn, shown.codes[1] / scale)
    labels = titled(figure, "code of view 1").get_xticklabels()
    assert tuple(label.get_text() for label in labels) == SLOTS


def test_the_file_is_a_png_1600_wide_and_the_same_each_time(tmp_path: Path) -> None:
    overview = Overview(summary(), samples())
    first = write_overview(tmp_path / "a" / "overview.png", overview).read_bytes()
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.format == "PNG" and picture.width == 1600
    assert write_overview(tmp_path / "b.png", overview).read_bytes() == first


def test_a_run_with_nothing_measured_shows_its_views() -> None:
    bare = RunSummary(title="t", data="d", labels=(), arms=(ArmResult(name="byol", seed=0),))
    figure = draw_overview(Overview(bare, samples()))
    assert not any("accuracy" in axes.get_title(loc="left") for axes in figure.axes)
    assert titled(figure, "code of view 0")


def test_samples_that_do_not_fit_are_refused() -> None:
    good = samples()
    with pytest.raises(ValueError, match="view 'a': 4 images and codes"):
        ViewSamples(good.images, ["a"], good.views[:1], [good.codes[0][:, :3]], SLOTS)
    with pytest.raises(ValueError, match="0 images, 0 names"):
        ViewSamples(good.images[:0], [], [], [], SLOTS)


def test_no_two_of_fourteen_arms_have_one_colour() -> None:
    arms = tuple(ArmResult(name=f"arm {k}") for k in range(14))
    colours = row_colours(RunSummary(title="t", data="d", labels=(), arms=arms))
    assert len(set(colours.values())) == 14
