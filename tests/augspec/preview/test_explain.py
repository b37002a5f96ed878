"""What a page for readers shows is what the pipeline does: pictures, numbers and sentences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from html_page import Element, Page, decoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import augspec
from augspec.encoding.codecs import Order
from augspec.preview.explain import Explanation, Story, explain
from augspec.preview.explain_page import explain_page
from augspec.preview.explain_sheet import WIDE, explain_sheet
from augspec.preview.explain_words import cell_number, promises, snippet
from augspec.preview.heat import broken
from augspec.preview.outline import outlined
from augspec.preview.pictures import Picture, built_in, to_image, to_tensor
from augspec.preview.scene import scene
from augspec.preview.text import MINUS

RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))

DRAWS = 64  # enough, where the moments do not matter

ALL = """\
version: 1
name: all
views:
  first:
    ops:
      - {op: resized_crop, size: [20, 24], area: [0.3, 0.6]}
      - {op: horizontal_flip}
      - {op: color_jitter, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2}
      - {op: grayscale, p: 0}
      - op: random_order
        ops: [{op: solarize, threshold: 0.4}, {op: hue, shift: 0.2}, {op: gaussian_blur, sigma: 1}]
      - {op: one_of, ops: [{op: invert}, {op: gamma, gamma: 0.5}]}
      - op: mix
        strength: 0.8
        ops: [{op: rotate, degrees: 30}, {op: sequence, ops: [{op: brightness, factor: 0.5}]}]
"""


def explained(text: str, size: tuple[int, int] = (30, 40), **options: Any) -> Explanation:
    return explain(augspec.loads(text), Picture("scene", "", scene(*size)), draws=DRAWS, **options)


def one(ops: str, size: tuple[int, int] = (30, 40), **options: Any) -> Story:
    (story,) = explained(
        f"version: 1\nname: a\nviews: {{v: {{ops: [{ops}]}}}}", size, **options
    ).stories
    return story


def pixels(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image, dtype=int)


def test_each_picture_is_what_the_ops_up_to_it_make() -> None:
    """Specs with fewer ops are an independent way to it: an op's draw depends on its id alone."""
    spec = augspec.loads(ALL)
    picture = Picture("scene", "", scene(30, 40))
    (story,) = explain(spec, picture, seed=4, epoch=2, sample=7, draws=DRAWS).stories
    image = to_tensor(picture.image, 3)
    ids = torch.tensor([7])
    assert story.replays
    ops = spec.document()["views"]["first"]["ops"]
    ends = {}  # the last picture of each step
    for frame in story.frames:
        ends[frame.node.path.split(".")[0]] = frame.image
    assert list(ends) == [op["op"] for op in ops]
    for count, (name, shown) in enumerate(ends.items(), start=1):
        views = {"first": {"ops": ops[:count]}}
        less = augspec.Spec.model_validate({**spec.document(), "views": views})
        batch = augspec.compile(less, seed=4)(image, ids=ids, epoch=2)
        assert (pixels(to_image(batch.views["first"][0])) == pixels(shown)).all(), name
    assert (pixels(story.image) == pixels(story.frames[-1].image)).all()
    before = {frame.node.path: k for k, frame in enumerate(story.frames)}
    gray, flip = story.frames[before["grayscale"]], story.frames[before["horizontal_flip"]]
    assert not gray.acts and flip.acts
    assert (pixels(gray.image) == pixels(story.frames[before["color_jitter"]].image)).all()


def test_ops_in_random_order_are_shown_in_that_order() -> None:
    ops = "{op: invert}, {op: gamma, gamma: 0.5}, {op: solarize, threshold: 0.3}"
    seen = set()
    for sample in range(6):
        story = one(f"{{op: random_order, ops: [{ops}]}}", sample=sample)
        (order,) = (entry for entry in story.entries if entry.slot.parameter == "order")
        index = torch.tensor([order.value], dtype=torch.float64)
        names = ["invert", "gamma", "solarize"]
        expected = [names[k] for k in Order(3).permutation(index)[0].tolist()]
        paths = [frame.node.path for frame in story.frames]
        assert paths == [f"random_order.{name}" for name in expected]
        assert order.words == " > ".join(expected)
        x = to_tensor(scene(30, 40), 3).float() / 255
        for frame in story.frames:
            x = frame.node.op.apply(x, dict(frame.node.params))
            assert (pixels(to_image(x[0])) == pixels(frame.image)).all()
        seen.add(tuple(expected))
    assert len(seen) > 2


def test_a_mixture_grows_by_one_op_after_the_other() -> None:
    story = one(
        "{op: mix, strength: 0.8, ops: [{op: invert}, {op: sequence, ops: [{op: gamma, gamma: 0.5},"
        " {op: solarize, p: 0}]}]}"
    )
    assert [frame.node.path for frame in story.frames] == ["mix.invert", "mix.sequence.gamma"]
    assert story.idle == ("mix.sequence.solarize",)
    ((path, words),) = story.choices
    assert path == "mix" and words.startswith("weight_1 ")
    weights = {e.slot.parameter: e.value for e in story.entries if e.slot.op == "mix"}
    x = to_tensor(scene(30, 40), 3).double() / 255
    first = x + weights["weight_1"] * (1 - 2 * x)
    second = first + weights["weight_2"] * (x**0.5 - x)
    for frame, expected in zip(story.frames, (first, second), strict=True):
        assert np.abs(pixels(frame.image) - pixels(to_image(expected[0]))).max() <= 1


def test_what_is_left_out_of_a_choice_has_no_picture() -> None:
    story = one("{op: one_of, ops: [{op: invert}, {op: gamma, gamma: 0.5}, {op: grayscale}]}")
    assert len(story.frames) == 1 and story.frames[0].acts
    assert len(story.idle) == 2
    nothing = one("{op: maybe, p: 0, ops: [{op: invert}]}")
    ((frame),) = nothing.frames
    assert frame.node.path == "maybe" and not frame.acts
    assert nothing.idle == ("maybe.invert",)


def test_the_outline_is_where_the_view_comes_from() -> None:
    story = one("{op: resized_crop, size: 16, area: [0.3, 0.5]}, {op: horizontal_flip}", (50, 40))
    values = {entry.slot.parameter: entry.value for entry in story.entries}
    y, x = values["center_y"], values["center_x"]
    h, w = values["height"] / 2, values["width"] / 2
    mirrored = ((x + w, y - h), (x - w, y - h), (x - w, y + h), (x + w, y + h))
    assert story.corners is not None and story.cuts
    assert np.array(story.corners) == pytest.approx(np.array(mirrored), abs=1e-6)
    assert not one("{op: invert}").cuts
    assert one("{op: elastic}").corners is None
    assert one("{op: elastic, p: 0}").corners is not None


def test_what_the_view_leaves_out_is_paler() -> None:
    image = Image.new("RGB", (100, 50), (0, 0, 160))
    box = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    found = pixels(outlined(image, box, 200))
    assert found.shape == (100, 200, 3)
    assert (found[50, 150] == (0, 0, 160)).all()
    assert (found[50, 50] > (100, 100, 200)).all()
    assert found[8, 108].min() == 255  # the dot in the box's upper left corner
    beyond = ((-0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (-0.5, 1.0))
    assert outlined(image, beyond, 300).size == (300, 100)


def numbers_of(page: Element) -> list[tuple[str, float]]:
    """The columns that the cells of a page name, with their values."""
    titles = [cell.attributes["title"] for cell in page.all("div", "cell")]
    parts = (title.split(" (")[0].split(" = ") for title in titles)
    return [(name, float(value)) for name, value in parts]


@pytest.mark.parametrize("name", ["byol-cifar10", "simclr-imagenet"])
def test_the_numbers_on_the_page_are_those_of_the_batch(root: Path, name: str) -> None:
    spec = augspec.load(root / f"specs/augmentations/{name}.yaml")
    picture = built_in(spec.input_size or (60, 80))
    found = explain(spec, picture, seed=3, epoch=5, sample=9, draws=DRAWS)
    page = Page(explain_page(found, ""))
    pipeline = augspec.compile(spec, seed=3)
    batch = pipeline(to_tensor(picture.image, 3), ids=torch.tensor([9]), epoch=5)
    expected = [
        (column, float(f"{value:.6g}"))
        for view, layout in pipeline.layouts.items()
        for column, value in zip(layout.column_names, batch.codes[view][0].tolist(), strict=True)
    ]
    assert len(expected) in (36, 40)
    assert numbers_of(page.root) == expected
    shown = [cell.all("i")[0].text for cell in page.root.all("div", "cell")]
    assert shown == [cell_number(value) for _, value in expected]
    text = page.root.text
    for layout in pipeline.layouts.values():
        assert layout.hash in text
    assert found.plan.hash in text and "seed 3, epoch 5, sample 9" in text
    rows = [row for row in page.root.all("tr") if row.all("td")]
    slots = [slot for layout in pipeline.layouts.values() for slot in layout.slots]
    values = [batch.params[view][slot.name] for view, layout in pipeline.layouts.items()
              for slot in layout.slots]  # fmt: skip
    for row, slot, value in zip(rows, slots, values, strict=True):
        cells = {td.attributes["data-of"]: td for td in row.all("td")}
        assert cells["slot"].text == slot.parameter + slot.unit
        assert cells["gradient"].text.startswith("yes") == slot.differentiable
        count = len(cells["code"].text.split(", "))
        assert count == len(slot.columns)
        if slot.codec in ("linear", "log", "angle"):
            written = cells["this sample"].parts[0]
            assert isinstance(written, str)
            assert float(written.replace(MINUS, "-")) == pytest.approx(float(value), rel=1e-3)


def test_what_acts_is_bold_and_what_does_not_is_faint(root: Path) -> None:
    spec = augspec.load(root / "specs/augmentations/byol-cifar10.yaml")
    found = explain(spec, built_in((32, 32)), views=["first"], sample=2, draws=DRAWS)
    text = explain_page(found, "")
    again = explain(spec, built_in((32, 32)), views=["first"], sample=2, draws=DRAWS)
    assert explain_page(again, "") == text
    page = Page(text).root
    (film,) = page.all("div", "film")
    idle = [figure.all("b")[0].text for figure in film.all("figure", "idle")]
    assert idle == ["grayscale", "solarize"]
    assert [op.all("b")[0].text for op in page.all("div", "idle")] == idle
    last = decoded(film.all("img")[5].attributes["src"])
    assert (pixels(last) == pixels(found.stories[0].image)).all()
    off = [cell for cell in page.all("div", "cell") if "off" in cell.kinds]
    assert len(off) == 2  # solarize has p: 0 in this view


def test_the_sentences_are_true() -> None:
    text = (
        "version: 1\nname: a\nviews: {v: {ops: [{op: resized_crop, size: 32, area: 0.25},"
        " {op: color_jitter, hue: [0.1, 0.1]}, {op: grayscale, p: 0},"
        " {op: gaussian_blur, sigma: [0.5, 1], p: 0}]}}"
    )
    (story,) = explained(text, (100, 80)).stories
    said = dict(promises(story))
    zeros = sum(not column.value for column in story.code)
    assert f"{zeros} of the {len(story.code)} columns are 0" in said["Nothing done is zero"]
    assert "grayscale (column 15) and gaussian_blur (column 16) did nothing" in " ".join(
        said.values()
    )
    sine, versin = math.sin(0.2 * math.pi), 1 - math.cos(0.2 * math.pi)
    same = said["The same effect has the same code"]
    assert f"+0.1 turn and of {MINUS}0.9 turn" in same
    assert f"+{sine:.3g}, +{versin:.3g}" in same
    center = next(e for e in story.entries if not e.is_zero)
    assert center.slot.parameter == "center_y"
    place = said["It does not depend on the resolution"]
    assert f"{100 * center.value:.3g} px of 100 here" in place
    assert f"{200 * center.value:.3g} px of 200" in place
    assert "bit for bit" in said["The code replays the view"]
    differentiable = sum(len(e.columns) for e in story.entries if e.slot.differentiable)
    assert f"{differentiable} of the {len(story.code)} columns" in said["Gradients pass through it"]
    field = one("{op: gaussian_noise}")
    assert "gaussian_noise.seed: the seed of a random field" in dict(promises(field))[
        "The code replays the view"
    ]  # fmt: skip


def test_the_python_gives_the_same_numbers(root: Path) -> None:
    path = str(root / "specs/augmentations/quickstart.yaml")
    changes = ["views.first.ops.grayscale.p=1"]
    spec = augspec.load(path, changes)
    picture = built_in((32, 32))
    found = explain(spec, picture, seed=6, epoch=1, sample=3, draws=DRAWS)
    names: dict[str, Any] = {"images": to_tensor(picture.image, 3)}
    exec(snippet(found, path, changes, False), names)
    for story in found.stories:
        code = names["batch"].codes[story.plan.name][0].tolist()
        assert code == [column.value for column in story.code]
        view = names["again"][story.plan.name]
        assert (view == names["batch"].views[story.plan.name]).all()


def test_moments_stand_beside_the_codes() -> None:
    page = explain_page(
        explained("version: 1\nname: a\nviews: {v: {ops: [{op: invert, p: 0.3}]}}"), ""
    )
    (cell,) = (td for td in Page(page).root.all("td") if td.attributes["data-of"] == "mean ± std")
    assert cell.text == f"{0.3:.2f} ± {math.sqrt(0.21):.2f}"
    crop = explain_page(
        explained("version: 1\nname: a\nviews: {v: {ops: [{op: resized_crop}]}}"), ""
    )
    cells = [td for td in Page(crop).root.all("td") if td.attributes["data-of"] == "mean ± std"]
    assert all(td.text.startswith("≈") for td in cells)
    mean, std = (float(x.replace(MINUS, "-")) for x in cells[0].text[1:].split("±"))
    assert abs(mean) < 0.1 and 0.05 < std < 0.3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_explained(path: Path) -> None:
    spec = augspec.load(path)
    # one view with a code is enough: multi-crop has ten alike
    coded = [view.name for view in augspec.make_plan(spec).views if view.layout.width]
    picture = Picture("s", "", scene(*(spec.input_size or (40, 60))))
    found = explain(spec, picture, views=["original", coded[-1]], draws=DRAWS)
    assert [story.plan.name for story in found.stories] == ["original", coded[-1]]
    page = Page(explain_page(found, ""))
    for story in found.stories:
        assert story.replays
        for frame in story.frames:
            assert frame.node.path in page.root.text
        acting = {e.slot.op for e in story.entries if not e.is_zero}
        assert acting <= {op.all("b")[0].text for op in page.root.all("div", "op")}
    sheet = pixels(explain_sheet(found))
    assert sheet.shape[1] == WIDE
    assert (sheet[:, -20:] == 255).all() and (sheet[-20:] == 255).all()  # nothing runs out of it
    assert (sheet < 200).mean() > 0.02


def test_a_long_code_is_shown_small_and_its_zeros_are_folded_away() -> None:
    many = ", ".join("{op: color_jitter, p: 0.4, hue: 0.1}" for _ in range(8))
    story = one(many, sample=2)
    found = explained(f"version: 1\nname: a\nviews: {{v: {{ops: [{many}]}}}}", sample=2)
    page = Page(explain_page(found, "")).root
    assert len(story.code) == 88
    (small,) = page.all("div", "all")
    assert len(small.all("i")) == 88
    acting = {e.slot.op for e in story.entries if not e.is_zero}
    assert 0 < len(acting) < 8
    assert len(page.all("div", "op")) == len(acting)
    folded = [details for details in page.all("details") if details.all("table")]
    assert len(folded) == 1
    assert len(folded[0].all("tbody")) == 8 - len(acting)
    assert len([row for row in page.all("tr") if row.all("td")]) == len(story.entries)
    assert explain_sheet(found).height < 1000


def test_odd_specs() -> None:
    empty = explained("version: 1\nname: a\nviews: {original: {ops: []}}")
    page = Page(explain_page(empty, "")).root
    assert "the code has no columns" in page.text and not page.all("div", "cell")
    assert explain_sheet(empty).width == WIDE
    gray = "version: 1\nname: a\nimage: {channels: 1}\nviews: {v: {ops: [{op: solarize}]}}"
    source = decoded(Page(explain_page(explained(gray), "")).images[0])
    assert (pixels(source)[..., 0] == pixels(source)[..., 2]).all()
    name = "an_id_that_is_longer_than_any_that_a_person_would_ever_write_but_somebody_will"
    long = explained(f"version: 1\nname: a\nviews: {{v: {{ops: [{{op: solarize, id: {name}}}]}}}}")
    assert name in Page(explain_page(long, "")).root.text
    assert (pixels(explain_sheet(long))[:, -20:] == 255).all()
    orders = ", ".join("{op: solarize, threshold: 0.4}" for _ in range(10))
    wide = explained(
        f"version: 1\nname: a\nviews: {{v: {{ops: [{{op: random_order, ops: [{orders}]}}]}}}}"
    )
    assert (pixels(explain_sheet(wide))[:, -20:] == 255).all()


@given(st.floats(-200, 200, width=32))
def test_the_number_in_a_cell_is_short_and_near(value: float) -> None:
    text = cell_number(value)
    assert len(text) <= 5
    if text == "≈0":
        assert 0 < abs(value) < 0.0005
    else:
        read = float(text.replace(MINUS, "-"))
        assert read == pytest.approx(value, rel=0.06, abs=0.0005)
        assert text == "0" or text[0] in f"+{MINUS}"


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(30, 60))
def test_lines_are_as_few_as_possible_and_about_equally_long(widths: list[int], room: int) -> None:
    lines = broken(widths, room)
    assert [w for line in lines for w in widths[line]] == widths
    used = [sum(widths[line]) for line in lines]
    assert all(0 < length <= room for length in used)
    least = [0]  # how many lines the first k things need at least
    for k in range(1, len(widths) + 1):
        least.append(min(least[j] + 1 for j in range(k) if sum(widths[j:k]) <= room))
    assert len(lines) == least[-1]


@given(st.integers(1, 90), st.integers(1, 20), st.integers(1, 20))
def test_no_single_thing_is_left_over_for_the_last_line(count: int, wide: int, most: int) -> None:
    counts = [len(range(*line.indices(count))) for line in broken([wide] * count, wide * most)]
    assert sum(counts) == count
    assert len(counts) == -(-count // most)
    assert max(counts) == -(-count // len(counts))
