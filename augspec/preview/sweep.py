"""One parameter over its range, with all else as it is: what does it do?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan, Step, ViewPlan
from augspec.encoding.codecs import Bit, Category, Log, Order, Uncoded
from augspec.language.diagnostics import Diagnostic, SpecError, meant
from augspec.ops.contract import Size
from augspec.ops.parameter import Parameter
from augspec.preview.pictures import Picture, to_image, to_tensor
from augspec.preview.samples import unnormalized
from augspec.preview.sheet import GAP, LINE, MARGIN, scaled, stacked, titled
from augspec.preview.text import FAINT, GRAY, INK, font, shortened, words_of, wrapped
from augspec.preview.words import value_words

Around = Literal["identity", "draw"]
_SIDE = 220
_MOST_DRAWS = 64


@dataclass(frozen=True)
class Strip:
    """One image under a parameter's values.

    Attributes:
        picture: the image.
        views: the view at each value.
        values: the values in words.
        around: what all else is at, in words.
    """

    picture: Picture
    views: tuple[Image.Image, ...]
    values: tuple[str, ...]
    around: str


@dataclass(frozen=True)
class Swept:
    """The parameter of a view that is swept.

    Attributes:
        view: the view.
        step: the op, or the combinator that it is in.
        name: the parameter's name within the step.
    """

    view: ViewPlan
    step: Step
    name: str


def find(plan: Plan, path: str) -> Swept:
    """The parameter that a path such as `first.color_jitter.hue` names.

    Raises:
        SpecError: there is no such parameter.
    """
    known = {
        f"{view.name}.{step.key(name)}": Swept(view, step, name)
        for view in plan.views
        for step in view.steps
        for name in step.parameters
    }
    if path not in known:
        hint, listed = meant(path, known), ", ".join(known) or "none"
        raise SpecError(
            Diagnostic(None, f"no parameter {path!r} to sweep{hint} (parameters: {listed})")
        )
    return known[path]


def sweep(
    plan: Plan,
    swept: Swept,
    picture: Picture,
    *,
    steps: int,
    seed: int = 0,
    epoch: int = 0,
    sample: int = 0,
    around: Around | None = None,
) -> Strip:
    """Renders a view at evenly spaced values of one parameter.

    Args:
        plan: the plan.
        swept: the parameter.
        picture: the image.
        steps: how many values; fewer where the parameter has not so many.
        seed: of the draw that all else is at.
        epoch: of that draw.
        sample: the id of the sample whose draw it is.
        around: whether all else is at the identity or at the sample's draw. By default, at the
            identity, or, if the parameter then does nothing (the place of a box without a size), at
            the first draw of a sample from this one on with which it does something.
    """
    pipeline = unnormalized(plan, seed)
    image = to_tensor(picture.image, plan.channels)
    size: Size = (image.shape[-2], image.shape[-1])
    parameter, at = _parameter(swept, size)
    values = grid(parameter, steps)
    words = tuple(_word(parameter, value, at) for value in values)

    def strip(base: Mapping[str, float], text: str) -> tuple[Strip, bool]:
        views = _render(pipeline, swept, image, base, values)
        found = Strip(picture, tuple(map(to_image, views)), words, text)
        return found, not bool((views == views[0]).all())

    if around != "draw":
        plain, acts = strip(_identity(swept, size), "all else at the identity")
        if acts or around == "identity":
            return plain
    for number in range(sample, sample + (1 if around == "draw" else _MOST_DRAWS)):
        base = _draw(pipeline, swept, size, number, epoch)
        found, acts = strip(base, f"all else at the draw of sample {number}")
        if acts or around == "draw":
            return found
    return plain


def grid(parameter: Parameter, steps: int) -> list[float]:
    """At most `steps` values from one end of a parameter's range to the other."""
    low = parameter.low if parameter.low is not None else parameter.identity
    high = parameter.high if parameter.high is not None else parameter.identity
    if low == high or steps < 2:
        return [low]
    whole = isinstance(parameter.codec, Bit | Category | Order | Uncoded)
    if whole:
        steps = min(steps, int(high - low) + 1)
    if isinstance(parameter.codec, Log) and low > 0:  # equal factors from one to the next
        ends = torch.linspace(math.log(low), math.log(high), steps, dtype=torch.float64).exp()
    else:
        ends = torch.linspace(low, high, steps, dtype=torch.float64)
    values: list[float] = (ends.round() if whole else ends).tolist()
    # a range around zero has zero in its middle, and rounding must not hide it
    return [value if abs(value) > 1e-12 * (high - low) else 0.0 for value in values]


def _parameter(swept: Swept, size: Size) -> tuple[Parameter, Size]:
    """The parameter, with its range for images of this size, and the size that reaches its op."""
    at = next(at for step, at in swept.view.placed(size) if step is swept.step)
    return next(p for p in swept.step.op.parameters(at) if p.name == swept.name), at


def _word(parameter: Parameter, value: float, size: Size) -> str:
    codec = parameter.codec
    if isinstance(codec, Order):
        order = codec.permutation(torch.tensor([value], dtype=torch.float64))[0].tolist()
        return " ".join(map(str, order))
    return value_words(parameter, value, size)


def _identity(swept: Swept, size: Size) -> dict[str, float]:
    """All parameters at the identity; the switches of the op whose parameter is swept are on."""
    base: dict[str, float] = {}
    leaf = f"{swept.step.id}.{swept.name}".rpartition(".")[0]
    for step, at in swept.view.placed(size):
        for parameter in step.op.parameters(at):
            key = step.key(parameter.name)
            switch = isinstance(parameter.codec, Bit) and key.rpartition(".")[0] == leaf
            base[key] = 1.0 if switch else parameter.identity
    return base


def _draw(
    pipeline: Pipeline, swept: Swept, size: Size, sample: int, epoch: int
) -> dict[str, float]:
    ids, name = torch.tensor([sample]), swept.view.name
    codes, seeds = pipeline.draw(ids, epoch, size), pipeline.seeds(ids, epoch, size)
    params = pipeline.decode({name: codes[name]}, {name: seeds[name]}, strict=None)[name]
    return {key: float(value[0]) for key, value in params.items()}


def _render(
    pipeline: Pipeline,
    swept: Swept,
    image: Tensor,
    base: Mapping[str, float],
    values: Sequence[float],
) -> Tensor:
    """The views `(len(values), C, H, W)`."""
    count = len(values)
    params = {key: torch.full((count,), value, dtype=torch.float64) for key, value in base.items()}
    params[swept.step.key(swept.name)] = torch.tensor(values, dtype=torch.float64)
    views: dict[str, Tensor] = pipeline.apply(
        image.expand(count, -1, -1, -1), {swept.view.name: params}
    )
    return views[swept.view.name]


def sweep_sheet(title: str, note: str, strips: Sequence[Strip]) -> Image.Image:
    """Strips as one image, one under the other."""
    parts = [strip_image(strip, _SIDE) for strip in strips]
    wide = max(part.width for part in parts)
    return stacked([titled(title, note, wide), *parts], wide)


def strip_image(strip: Strip, side: int, label: str | None = None) -> Image.Image:
    """One strip: a line of text, then the views with their values."""
    face = font(17)
    views = [scaled(view, side) for view in strip.views]
    values = [wrapped(list(words_of(value, face, INK)), side) for value in strip.values]
    step, tall = side + GAP // 2, max(view.height for view in views)
    wide = max(2 * MARGIN + len(views) * step - GAP // 2, 720)
    below = LINE * max(map(len, values))
    image = Image.new("RGB", (wide, 30 + tall + 6 + below + 18), "white")
    draw = ImageDraw.Draw(image)
    text = label if label is not None else f"{strip.picture.name}, {strip.around}"
    draw.text((MARGIN, 0), shortened(text, face, wide - 2 * MARGIN), font=face, fill=GRAY)
    for k, (view, lines) in enumerate(zip(views, values, strict=True)):
        x = MARGIN + k * step
        image.paste(view, (x, 30))
        draw.rectangle((x - 1, 29, x + view.width, 30 + view.height), outline=FAINT)
        for number, words in enumerate(lines):
            place = (x + view.width // 2, 30 + tall + 6 + LINE * number)
            line = " ".join(word for word, _, _ in words)
            draw.text(place, line, font=face, fill=INK, anchor="ma")
    return image
