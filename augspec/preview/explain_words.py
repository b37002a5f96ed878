"""What a page says of one sample's codes: formulas, and promises with the sample's own numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import torch

from augspec.encoding.codecs import Angle, Bit, Category, Linear, Log, Order
from augspec.ops.contract import Size
from augspec.ops.parameter import Parameter
from augspec.preview.explain import Entry, Explanation, Story
from augspec.preview.heat import share
from augspec.preview.samples import Column
from augspec.preview.text import MINUS, TIMES
from augspec.preview.words import steps

DASH = "\u2013"

WHAT_IT_IS = (
    "The code of a view is a row of numbers that says what was done to the image: which ops acted, "
    "and how much. What each number means is fixed by the spec alone, before any image is seen; "
    "that is the layout. A number is a displacement from doing nothing, so 0 means: nothing was "
    "done."
)

_FORMULAS = {
    "log": "log of the value",
    "angle": f"sin 2πt, 1 {MINUS} cos 2πt of t turns",
    "bit": "1 if it acts, else 0",
    "order": f"for each pair: +1 first before second, {MINUS}1 after, 0 if either does nothing",
    "category": "one column an option: 1 for the one drawn",
}


def number(value: float, digits: int = 4, signed: bool = False) -> str:
    """A number for people, with a proper minus sign."""
    text = f"{value:+.{digits}g}" if signed and value else f"{value + 0.0:.{digits}g}"
    return text.replace("-", MINUS)


def cell_number(value: float) -> str:
    """A code's number, in at most five characters, to stand in its cell."""
    if not value:
        return "0"
    if abs(value) < 0.0005:
        return "≈0"
    large, whole = abs(value) >= 10, value == round(value)
    digits = 0 if large or whole else 1 if abs(value) >= 1 else 2 if abs(value) >= 0.1 else 3
    text = (
        f"{value:+.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.{digits}f}"
    )
    return text.replace("-", MINUS)


def numbers(values: Sequence[float]) -> str:
    """Numbers of a code, one after the other."""
    return ", ".join(number(value, 3, signed=True) for value in values)


def formula(parameter: Parameter) -> str:
    """How the parameter becomes columns of the code."""
    codec = parameter.codec
    if isinstance(codec, Linear):
        return f"value {MINUS} {codec.identity:g}" if codec.identity else "the value itself"
    return _FORMULAS.get(codec.name, codec.name)


def worked(entry: Entry) -> str:
    """The formula with this sample's numbers in it; empty where they say it by themselves."""
    codec, value, code = entry.parameter.codec, entry.value, [c.value for c in entry.columns]
    if isinstance(codec, Linear) and codec.identity:
        return f"{number(value, 3)} {MINUS} {codec.identity:g} = {number(code[0], 3, True)}"
    if isinstance(codec, Log):
        return f"log {number(value, 3)} = {number(code[0], 3, True)}"
    if isinstance(codec, Angle):
        turns = number(value, 3)
        return (
            f"sin(2π·{turns}) = {number(code[0], 3, True)}, "
            f"1 {MINUS} cos(2π·{turns}) = {number(code[1], 3, True)}"
        )
    if isinstance(codec, Order):
        return ", ".join(f"{k} {name}" for k, name in enumerate(steps(entry.node.op)))
    return ""


def is_choice(parameter: Parameter) -> bool:
    """Whether the parameter is one of several things, and its number only stands for it."""
    return isinstance(parameter.codec, Bit | Category | Order)


def gradient(entry: Entry) -> str:
    """Whether a gradient from the view reaches the parameter."""
    if entry.slot.differentiable:
        return "yes"
    return "no: jumps" if entry.jumps else "no"


def usual(story: Story, entry: Entry) -> str:
    """Mean and standard deviation of the entry's columns, once where they are all alike."""
    if story.moments is None:
        return ""
    own, known = entry.slot.slice, story.moments
    means, stds, exact = (x[own].tolist() for x in (known.mean, known.std, known.exact))
    found = [_spread(*column) for column in zip(means, stds, exact, strict=True)]
    return found[0] if len(set(found)) == 1 else ", ".join(found)


def _spread(mean: float, std: float, exact: bool) -> str:
    """A mean with a standard deviation of two digits, such as `0.12 ± 0.34`."""
    if std < 1e-12:
        return number(mean)
    digits = max(0, 1 - math.floor(math.log10(std)))
    text = f"{round(mean, digits) + 0.0:.{digits}f} ± {std:.{digits}f}"
    return ("" if exact else "≈ ") + text.replace("-", MINUS)


def reach(entry: Entry) -> str:
    """The range of draws, the identity included where a draw can leave the op out."""
    if isinstance(entry.parameter.codec, Order):
        return f"any of {entry.parameter.codec.orders:,} orders"
    low, high, where = entry.slot.low, entry.slot.high, ""
    if low is None or high is None:
        low, high, where = entry.parameter.low, entry.parameter.high, " for this size of image"
    if low is None or high is None:
        return "by image size"
    return f"{number(low)} to {number(high)}{where}" if low != high else f"always {number(low)}"


def is_strong(column: Column) -> bool:
    """Whether the colour of a column is so strong that white is read better on it than black."""
    return share(column.level) > 0.66


def cell_count(code: Sequence[Column]) -> str:
    """How many columns there are, and how many are not 0."""
    count, set_ = len(code), sum(bool(column.value) for column in code)
    return f"{count} column{'s' if count > 1 else ''}, {set_} of them not 0"


def source(explanation: Explanation) -> str:
    """Which image it is."""
    picture = explanation.picture
    text = f"{picture.name}, {picture.image.width}{TIMES}{picture.image.height}"
    return text + (f" ({picture.note})" if picture.note else "")


def columns_text(entries: Sequence[Entry]) -> str:
    """The columns of slots that follow one another, such as `4-7`."""
    first, last = entries[0].slot.start, entries[-1].slot.stop - 1
    return f"{first}" if first == last else f"{first}{DASH}{last}"


def snippet(explanation: Explanation, path: str, overrides: Sequence[str], outside: bool) -> str:
    """How to get the same codes in Python."""
    arguments = [json.dumps(path, ensure_ascii=False)]
    arguments += [json.dumps(list(overrides), ensure_ascii=False)] if overrides else []
    arguments += ["allow_outside=True"] if outside else []
    view = max(explanation.stories, key=lambda story: story.layout.width).plan.name
    shape = ", ".join(map(str, explanation.shape))
    return "\n".join(
        [
            "import torch, augspec",
            "",
            f"spec = augspec.load({', '.join(arguments)})",
            f"pipeline = augspec.compile(spec, seed={explanation.seed})",
            f"batch = pipeline(images, ids=torch.tensor([{explanation.sample}]), "
            f"epoch={explanation.epoch})  # images: ({shape}), uint8",
            "",
            f'batch.codes["{view}"]  # the numbers above',
            f'print(pipeline.layouts["{view}"].describe())  # what they mean',
            "again = pipeline.apply(images, pipeline.decode(batch.codes, batch.seeds))  "
            "# the same views",
        ]
    )


def promises(story: Story) -> Iterator[tuple[str, str]]:
    """What a code promises, each with this view's numbers: a title, and sentences."""
    yield "Nothing done is zero", _zero(story)
    yield "The same effect has the same code", _same(story)
    yield "It does not depend on the resolution", _resolution(story)
    yield "The code replays the view", _replay(story)
    yield "Gradients pass through it", _gradients(story)


def _zero(story: Story) -> str:
    code = story.code
    zeros = sum(not column.value for column in code)
    left = [list(own) for _, own in groupby(story.entries, key=lambda e: e.slot.op)]
    idle = [own for own in left if all(e.is_zero for e in own)]
    text = f"{zeros} of the {len(code)} columns are 0 here. "
    if idle:
        shown = [f"{own[0].slot.op} (column{_s(own)} {columns_text(own)})" for own in idle[:3]]
        more = f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        verb = "has" if len(idle) == 1 else "have"
        text = f"{_listed(shown, more)} did nothing, and {verb} only zeros. " + text
    return text + "An untouched image has a code of zeros, and a code of zeros is that image."


def _s(own: Sequence[Entry]) -> str:
    return "s" if own[-1].slot.stop - own[0].slot.start > 1 else ""


def _listed(words: Sequence[str], more: str = "") -> str:
    if more:
        return ", ".join(words) + more
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _same(story: Story) -> str:
    """A parameter of this view that has more than one value for one effect."""
    for entry in story.entries:
        codec, value = entry.parameter.codec, entry.value
        if isinstance(codec, Angle) and not entry.is_zero:
            around = value - 1 if value > 0 else value + 1
            both = codec.encode(torch.tensor([value, around], dtype=torch.float64)).float()
            if bool((both[0] == both[1]).all()):
                code = numbers(both[0].tolist())
                return (
                    f"{entry.slot.name} of {number(value, 3, True)} turn and of "
                    f"{number(around, 3, True)} turn are one rotation, and have one code: {code}. "
                    f"{_UNSEEN}"
                )
    for _, own in groupby(story.entries, key=lambda e: e.slot.op):
        slots = list(own)
        plain = [e for e in slots if not is_choice(e.parameter) and e.can_act]
        if plain and all(e.is_zero for e in slots):
            names = _listed([e.slot.parameter for e in plain])
            return (
                f"{slots[0].slot.op} did nothing, so the {names} that it had drawn left no trace: "
                f"0, whatever it was. {_UNSEEN}"
            )
    return _UNSEEN


_UNSEEN = (
    "What no image can show is not in a code: the strength of an op that is left out, the order of "
    "steps that do nothing."
)


def _resolution(story: Story) -> str:
    for entry in story.entries:
        side = _side(entry.slot.unit, entry.node.size)
        if side is not None and not entry.is_zero:
            pixels = entry.value * side
            return (
                f"{entry.slot.name} is {number(entry.value, 3)} of the {entry.slot.unit}: "
                f"{number(pixels, 3)} px of {side} here, {number(2 * pixels, 3)} px of {2 * side}, "
                f"and {numbers([c.value for c in entry.columns])} in the code of both."
            )
    return (
        "Places and lengths are fractions of the image's sides, so the code of an image and of the "
        "same image at twice the size are equal."
    )


def _side(unit: str, size: Size) -> int | None:
    """The side of the image that a parameter of this unit is a fraction of."""
    sides = {"height": size[0], "width": size[1], "side": min(size)}
    return None if unit.startswith("half ") else sides.get(unit.rpartition(" ")[2])


def _replay(story: Story) -> str:
    again = "gives this very view, bit for bit" if story.replays else "does NOT give this view"
    text = "Decoded and applied to the image once more, the code " + again
    text += " (checked when this page was made)."
    if story.seeds:
        text += f" {_listed(story.seeds)}: the seed of a random field is no part of a code, and is "
        text += "handed over beside it."
    return text


def _gradients(story: Story) -> str:
    reached = sum(len(e.columns) for e in story.entries if e.slot.differentiable)
    total = story.layout.width
    text = f"Encoding, decoding and rendering are differentiable: from the view, {reached} of the "
    text += f"{total} columns get a gradient."
    if reached < total:
        text += (
            " The others stand for what jumps, with nothing in between, or do not move smoothly."
        )
    return text
