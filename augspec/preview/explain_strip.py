"""A code as a picture for readers: op, parameter, what was drawn, and the code in its cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from augspec.preview.explain import LONG, Entry
from augspec.preview.explain_words import cell_number, is_strong
from augspec.preview.heat import broken, colour, overview
from augspec.preview.samples import Column
from augspec.preview.text import FAINT, GRAY, INK, font, shortened, width, words_of, wrapped

_CELL, _HIGH = 46, 36
_GAP, _BELOW, _LINE = 12, 23, 20
_HATCH = "#dcdcdc"
_OP, _OP_IDLE, _SMALL, _TINY = font(17, bold=True), font(17), font(15), font(14)


@dataclass(frozen=True)
class _Slot:
    """A slot with its place in a group, in pixels."""

    entry: Entry
    wide: int
    rows: int
    drawn: tuple[str, ...]

    @property
    def across(self) -> int:
        """How many cells stand in a row."""
        return -(-len(self.entry.columns) // self.rows)


@dataclass(frozen=True)
class _Group:
    """Slots of one op that stand together on a line."""

    name: tuple[str, ...]
    slots: tuple[_Slot, ...]

    @property
    def wide(self) -> int:
        return sum(slot.wide for slot in self.slots)

    @property
    def is_idle(self) -> bool:
        return all(slot.entry.is_zero for slot in self.slots)

    @property
    def above(self) -> int:
        """How high what stands over the last row of cells is."""
        rows = max(slot.rows for slot in self.slots)
        drawn = max(len(slot.drawn) for slot in self.slots)
        return _LINE * (len(self.name) + 1 + max(1, drawn)) + 12 + (rows - 1) * (_HIGH + _BELOW)


def explain_strip(entries: Sequence[Entry], room: int) -> Image.Image:
    """The code as an image `room` pixels wide, on as many lines as it needs.

    Of a long code it shows all cells small, and then the ops that are not zero.
    """
    code = [column for entry in entries for column in entry.columns]
    ops = [list(own) for _, own in groupby(entries, key=lambda e: e.slot.op)]
    parts = []
    if len(code) > LONG:
        parts.append(overview(code, room))
        ops = [own for own in ops if not all(entry.is_zero for entry in own)]
    groups = [group for own in ops for group in _groups(own, room)]
    lines = broken([group.wide + _GAP for group in groups], room + _GAP)
    parts += [_line(groups[line], room) for line in lines]
    whole = Image.new("RGB", (room, sum(part.height for part in parts) or 1), "white")
    y = 0
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def _groups(entries: Sequence[Entry], room: int) -> Iterator[_Group]:
    """The slots of one op, in several groups where one would be wider than the room."""
    slots = [_slot(entry, room) for entry in entries]
    parts = name_parts(entries[0].slot.op)
    for line in broken([slot.wide for slot in slots], room):
        own = slots[line]
        least = min(room, max(width(part, _OP) for part in parts))
        short = max(0, least - sum(slot.wide for slot in own))
        own = [_wider(slot, -(-short // len(own))) for slot in own]
        yield _Group(tuple(packed(parts, _OP, sum(s.wide for s in own))), tuple(own))


def _slot(entry: Entry, room: int) -> _Slot:
    count = len(entry.columns)
    rows = -(-count // max(1, room // _CELL))
    cells = -(-count // rows) * _CELL
    words = "" if entry.is_zero else entry.words
    wide = max(cells, width(entry.slot.parameter, _SMALL) + 12)
    need = width(words, _SMALL) + 12
    if count < 3 or need < 1.3 * wide:  # otherwise there is room enough to wrap the words
        wide = max(wide, need)
    wide = min(wide, room)
    lines = wrapped(list(words_of(words, _SMALL, GRAY)), wide - 4) if words else []
    return _Slot(entry, wide, rows, tuple(" ".join(w for w, _, _ in line) for line in lines))


def _wider(slot: _Slot, pixels: int) -> _Slot:
    return _Slot(slot.entry, slot.wide + pixels, slot.rows, slot.drawn)


def name_parts(name: str) -> list[str]:
    """A name in the parts between which it may be broken: after its dots and underscores."""
    return [part for part in re.split(r"(?<=[._])", name) if part]


def packed(parts: Sequence[str], face: ImageFont.FreeTypeFont, room: int) -> Iterator[str]:
    """Parts of a name as lines; one that is wider than the room is shortened."""
    line = ""
    for part in parts:
        if line and width(line + part, face) > room:
            yield shortened(line, face, room)
            line = ""
        line += part
    yield shortened(line, face, room)


def _line(groups: Sequence[_Group], room: int) -> Image.Image:
    above = max(group.above for group in groups)
    image = Image.new("RGB", (room, above + _HIGH + _BELOW + 18), "white")
    draw = ImageDraw.Draw(image)
    x = 0
    for group in groups:
        _draw_group(draw, group, x, above)
        x += group.wide + _GAP
    return image


def _draw_group(draw: ImageDraw.ImageDraw, group: _Group, x: int, bottom: int) -> None:
    """Draws a group whose last row of cells begins at `bottom`."""
    y = bottom - group.above
    face, ink = (_OP_IDLE, GRAY) if group.is_idle else (_OP, INK)
    for line in group.name:
        draw.text((x, y), line, font=face, fill=ink)
        y += _LINE
    rule = (x, y + 3, x + group.wide, y + 3)
    draw.line(rule, fill=FAINT if group.is_idle else INK, width=1 if group.is_idle else 2)
    for slot in group.slots:
        top = bottom - (slot.rows - 1) * (_HIGH + _BELOW)
        at = top - 6 - _LINE * max(1, len(slot.drawn))
        middle = x + slot.wide // 2
        for k, line in enumerate((slot.entry.slot.parameter, *slot.drawn)):
            ink = GRAY if k or slot.entry.is_zero else INK
            draw.text((middle, at - _LINE + _LINE * k), line, font=_SMALL, fill=ink, anchor="ma")
        _draw_cells(draw, slot, x, top)
        x += slot.wide


def _draw_cells(draw: ImageDraw.ImageDraw, slot: _Slot, x: int, top: int) -> None:
    across = slot.across
    for k, column in enumerate(slot.entry.columns):
        left, right = (x + slot.wide * (k % across + end) // across for end in (0, 1))
        y = top + k // across * (_HIGH + _BELOW)
        _draw_cell(draw, column, (left, y, right, y + _HIGH))
        if slot.entry.jumps:
            draw.line((left + 1, y + _HIGH + 2, right - 1, y + _HIGH + 2), fill=GRAY, width=3)
        elif not slot.entry.slot.differentiable:
            dots(draw, left + 2, right - 1, y + _HIGH + 2)
        suffix = column.name.removeprefix(slot.entry.slot.name).lstrip(".")
        place = ((left + right) // 2, y + _HIGH + 5)
        draw.text(place, suffix, font=_TINY, fill=GRAY, anchor="ma")


def _draw_cell(draw: ImageDraw.ImageDraw, column: Column, box: tuple[int, int, int, int]) -> None:
    draw.rectangle(box, fill=colour(column.level) if column.most else "white", outline=FAINT)
    left, top, right, bottom = box
    if not column.most:
        hatch(draw, box)
        return
    ink = INK if column.value else FAINT
    ink = "white" if is_strong(column) else ink
    middle = ((left + right) // 2, (top + bottom) // 2)
    draw.text(middle, cell_number(column.value), font=_TINY, fill=ink, anchor="mm")


def hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """Slanted lines in a box."""
    left, top, right, bottom = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
    for start in range(left - (bottom - top), right, 8):
        first, last = max(start, left), min(start + bottom - top, right)
        draw.line((first, bottom - (first - start), last, bottom - (last - start)), fill=_HATCH)


def dots(draw: ImageDraw.ImageDraw, left: int, right: int, y: int) -> None:
    """A dotted line."""
    for x in range(left, right - 2, 6):
        draw.rectangle((x, y - 1, x + 2, y + 1), fill=GRAY)
