"""A code as a strip of cells, blue for negative, white for the identity, red for positive."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from PIL import Image, ImageDraw, ImageFont

from augspec.preview.samples import Column
from augspec.preview.text import FAINT, GRAY, INK, MINUS, font, shortened, upright, width

_BLUE, _WHITE, _RED = (33, 102, 172), (250, 250, 250), (178, 24, 43)  # ends of ColorBrewer's RdBu
_HEIGHT = 26
_NARROW, _WIDE = 19, 30
_LONGEST_LABEL = 190
_MOST_LINES = 3


def colour(level: float) -> tuple[int, int, int]:
    """The colour of a level in [-1, 1]; equal levels of both signs are equally dark."""
    end, part = _RED if level > 0 else _BLUE, share(level)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(_WHITE, end, strict=True))
    return red, green, blue


def share(level: float) -> float:
    """How much of red or blue there is in the colour of a level in [-1, 1]."""
    return abs(level) ** 0.7  # small values must still be told from none


@dataclass(frozen=True)
class Label:
    """What is written under some columns.

    Attributes:
        text: the label.
        columns: how many columns it stands under.
    """

    text: str
    columns: int


def labels(code: Sequence[Column], cell: int) -> tuple[list[Label], list[Label]]:
    """What stands under a line of cells: upright labels of slots, and ops below their slots.

    An op whose name is too wide for its columns, or that has one slot only, is named in the upright
    labels instead, and has an empty label in the second row.
    """
    upper: list[Label] = []
    lower: list[Label] = []
    for op, group in groupby(code, key=lambda column: column.slot.op):
        columns = list(group)
        slots = [(slot, len(list(own))) for slot, own in groupby(columns, key=lambda c: c.slot)]
        fits = width(op, _face()) <= len(columns) * cell - 4
        below = fits and len(slots) > 1
        lower.append(Label(op if below else "", len(columns)))
        for slot, count in slots:
            name = op if len(slots) == 1 else f"{op}.{slot.parameter}"
            upper.append(Label(slot.parameter if below else name, count))
    return upper, lower


def strip(code: Sequence[Column], room: int) -> Image.Image:
    """A code as an image `room` pixels wide, on as many lines as its columns need.

    Of a code too long for that, it shows all cells small and without names, and then those slots
    that are not zero.
    """
    if not code:
        return Image.new("RGB", (room, 1), "white")
    lines = _lines(code, max(1, (room - 1) // _NARROW))
    if len(lines) <= _MOST_LINES:
        return _stacked(_labelled(lines, room), room)
    acting = {column.slot.name for column in code if column.value}
    shown = [column for column in code if column.slot.name in acting]
    parts = [overview(code, room)]
    if shown:
        text = f"{len(code)} columns; slots that are not zero:"
        parts += [_text(text, room), *_labelled(_lines(shown, (room - 1) // _NARROW), room)]
    return _stacked(parts, room)


def _labelled(lines: Sequence[Sequence[Column]], room: int) -> list[Image.Image]:
    cell = min(_WIDE, (room - 1) // max(map(len, lines)))
    return [_line(line, cell, room) for line in lines]


def _stacked(parts: Sequence[Image.Image], room: int) -> Image.Image:
    whole = Image.new("RGB", (room, sum(part.height for part in parts)), "white")
    y = 0
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def overview(code: Sequence[Column], room: int) -> Image.Image:
    """All cells, small, row by row."""
    wide, high = 8, 14
    across = (room - 1) // wide
    down = -(-len(code) // across)
    image = Image.new("RGB", (room, down * (high + 4) + 6), "white")
    draw = ImageDraw.Draw(image)
    for k, column in enumerate(code):
        x, y = k % across * wide, k // across * (high + 4)
        draw.rectangle((x, y, x + wide, y + high), fill=_fill(column), outline=FAINT)
    return image


def _text(text: str, room: int) -> Image.Image:
    image = Image.new("RGB", (room, 26), "white")
    shown = shortened(text, _face(), room)
    ImageDraw.Draw(image).text((0, 2), shown, font=_face(), fill=GRAY)
    return image


def _fill(column: Column) -> str | tuple[int, int, int]:
    return colour(column.level) if column.most else "#ececec"


def _lines(code: Sequence[Column], most: int) -> list[list[Column]]:
    """The columns on lines of at most `most`, broken between ops where that is possible."""
    pieces: list[list[Column]] = []
    for _, group in groupby(code, key=lambda column: column.slot.op):
        columns = list(group)
        count = -(-len(columns) // most)
        size = -(-len(columns) // count)
        pieces += [columns[k : k + size] for k in range(0, len(columns), size)]
    lines = broken([len(piece) for piece in pieces], most)
    return [[column for piece in pieces[line] for column in piece] for line in lines]


def broken(widths: Sequence[int], room: int) -> list[slice]:
    """Which of several things in a row stand on which line.

    There are as few lines as have room for them, and those are about equally long: no single thing
    is left over for the last one.

    Args:
        widths: how wide each thing is; one that is wider than the room has a line of its own.
        room: how wide a line is.
    """
    fewest = len(_filled(widths, room))
    narrow = range(max(widths, default=0), room)
    enough = bisect_left(narrow, True, key=lambda r: len(_filled(widths, r)) <= fewest)
    return _filled(widths, narrow[enough] if enough < len(narrow) else room)


def _filled(widths: Sequence[int], room: int) -> list[slice]:
    """Lines that each take what has room."""
    starts, used = list[int](), 0
    for k, wide in enumerate(widths):
        if not k or used + wide > room:
            starts.append(k)
            used = 0
        used += wide
    return [slice(a, b) for a, b in pairwise([*starts, len(widths)])]


def _line(code: Sequence[Column], cell: int, room: int) -> Image.Image:
    upper, lower = labels(code, cell)
    names = [shortened(label.text, _face(), _LONGEST_LABEL) for label in upper]
    texts = [upright(name, _face(), INK) for name in names]
    tallest = max(text.height for text in texts)
    image = Image.new("RGB", (room, _HEIGHT + tallest + 50), "white")
    draw = ImageDraw.Draw(image)
    for k, column in enumerate(code):
        box = (k * cell, 0, (k + 1) * cell, _HEIGHT)
        draw.rectangle(box, fill=_fill(column), outline=FAINT)
    x, bottom = 0, 0
    slots = iter(zip(upper, texts, strict=True))
    for op in lower:
        start, below = x, 0
        while x < start + op.columns * cell:
            label, text = next(slots)
            span = label.columns * cell
            if label.columns > 1:
                _bracket(draw, x, span, _HEIGHT + 5)
            image.paste(text, (x + span // 2 - text.width // 2, _HEIGHT + 12), text)
            x, below = x + span, max(below, _HEIGHT + 12 + text.height)
        if op.text:
            draw.line((start + 3, below + 6, x - 3, below + 6), fill=GRAY)
            middle = (start + x) // 2
            draw.text((middle, below + 9), op.text, font=_face(), fill=GRAY, anchor="ma")
            below += 28
        bottom = max(bottom, below)
    return image.crop((0, 0, room, bottom + 10))


def _face() -> ImageFont.FreeTypeFont:
    return font(15)


def _bracket(draw: ImageDraw.ImageDraw, x: int, span: int, y: int) -> None:
    """A thin bracket over a label that stands for several columns."""
    draw.line((x + 4, y - 3, x + 4, y, x + span - 4, y, x + span - 4, y - 3), fill=GRAY)


def legend() -> Image.Image:
    """What the colours mean."""
    face, bar = font(16), 160
    text = "code relative to the range of each column; white: identity; gray: cannot act"
    image = Image.new("RGB", (bar + 62 + width(text, face), 30), "white")
    draw = ImageDraw.Draw(image)
    draw.text((0, 4), MINUS, font=face, fill=GRAY)
    for k in range(bar):
        draw.line((20 + k, 4, 20 + k, 24), fill=colour(2 * k / (bar - 1) - 1))
    draw.rectangle((19, 4, 20 + bar, 24), outline=FAINT)
    draw.text((bar + 26, 4), "+", font=face, fill=GRAY)
    draw.text((bar + 56, 4), text, font=face, fill=GRAY)
    return image
