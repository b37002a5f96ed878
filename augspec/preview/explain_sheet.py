"""One image, its views step by step, and their codes as one picture, for papers and READMEs."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from augspec.preview.explain import Explanation, Frame, Story
from augspec.preview.explain_strip import dots, explain_strip, hatch, name_parts, packed
from augspec.preview.explain_words import cell_count, source
from augspec.preview.heat import colour
from augspec.preview.outline import outlined
from augspec.preview.sheet import MARGIN, indented, scaled, stacked, titled
from augspec.preview.text import (
    FAINT,
    GRAY,
    INK,
    MINUS,
    TIMES,
    Word,
    draw_lines,
    font,
    shortened,
    width,
    words_of,
    wrapped,
)

WIDE = 1520
_ROOM = WIDE - 2 * MARGIN
_GAP, _LINE = 30, 21
_LEAST, _MOST = 150, 230
_TEXT, _BOLD = font(16), font(16, bold=True)


def explain_sheet(explanation: Explanation) -> Image.Image:
    """The picture, to be printed at 200 dots per inch."""
    note = f"{source(explanation)}; seed {explanation.seed}, epoch {explanation.epoch}, "
    note += f"sample {explanation.sample}; plan {explanation.plan.hash}"
    parts = [titled(explanation.plan.name, note, WIDE)]
    for story in explanation.stories:
        parts += [_heading(story), _film(explanation, story)]
        if story.entries:
            parts.append(indented(explain_strip(story.entries, _ROOM), WIDE))
    if any(story.entries for story in explanation.stories):
        parts.append(indented(_legend(explanation.stories), WIDE))
    return stacked(parts, WIDE)


def _heading(story: Story) -> Image.Image:
    image = Image.new("RGB", (WIDE, 52), "white")
    draw = ImageDraw.Draw(image)
    face, small = font(22, bold=True), font(16)
    note = f"{cell_count(story.code)}, layout {story.layout.hash}" if story.code else "no columns"
    name = shortened(story.plan.name, face, _ROOM - width(note, small) - 20)
    draw.text((MARGIN, 36), name, font=face, fill=INK, anchor="ls")
    draw.text((MARGIN + width(name, face) + 16, 36), note, font=small, fill=GRAY, anchor="ls")
    return image


def _film(explanation: Explanation, story: Story) -> Image.Image:
    """The image and what each op makes of it, on as many lines as that needs."""
    picture = explanation.picture.image
    count = len(story.frames) + 1
    rows = -(-count // ((_ROOM + _GAP) // (_LEAST + _GAP)))
    across = -(-count // rows)  # so that all rows are about equally long
    side = min(_MOST, (_ROOM + _GAP) // across - _GAP)
    first = scaled(picture, side)
    if story.corners and story.cuts:
        first = outlined(picture, story.corners, side)
    size = f"{picture.width}{TIMES}{picture.height}"
    cells = [(first, _label("the image", [size], side))]
    cells += [
        (_shown(frame, side), _label(frame.node.path, _words(frame), side))
        for frame in story.frames
    ]
    lines = [cells[k : k + across] for k in range(0, count, across)]
    parts = [_film_line(line, side, k == 0) for k, line in enumerate(lines)]
    for path, text in story.choices:
        words: list[Word] = [(path, _BOLD, INK), *words_of(text, _TEXT, GRAY)]
        parts.append(_paragraph(words))
    if story.idle:
        many = "1 op" if len(story.idle) == 1 else f"{len(story.idle)} ops"
        parts.append(_paragraph(list(words_of(f"{many} inside combinators left out", _TEXT, GRAY))))
    whole = Image.new("RGB", (WIDE, sum(part.height for part in parts) + 10), "white")
    y = 0
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def _shown(frame: Frame, side: int) -> Image.Image:
    image = scaled(frame.image, side)
    return image if frame.acts else Image.blend(image, Image.new("RGB", image.size, "white"), 0.78)


def _words(frame: Frame) -> list[str]:
    if not frame.acts:
        return ["did nothing"]
    before, after = frame.node.size, frame.node.size_after
    resized = f"{before[1]}{TIMES}{before[0]} to {after[1]}{TIMES}{after[0]}"
    return [*filter(None, [frame.words]), *([resized] if before != after else [])]


def _label(name: str, texts: Sequence[str], side: int) -> list[list[Word]]:
    idle = texts == ["did nothing"]
    face, ink = (_TEXT, GRAY) if idle else (_BOLD, INK)
    room = side + _GAP - 14
    lines: list[list[Word]] = [[(line, face, ink)] for line in packed(name_parts(name), face, room)]
    for text in texts:
        lines += wrapped(list(words_of(text, _TEXT, GRAY)), room)
    return lines


def _film_line(
    cells: Sequence[tuple[Image.Image, list[list[Word]]]], side: int, starts: bool
) -> Image.Image:
    tall = max(picture.height for picture, _ in cells)
    text = max(len(lines) for _, lines in cells)
    image = Image.new("RGB", (WIDE, tall + 12 + _LINE * text + 16), "white")
    draw = ImageDraw.Draw(image)
    for k, (picture, lines) in enumerate(cells):
        x = MARGIN + k * (side + _GAP)
        y = 1 + tall - picture.height
        image.paste(picture, (x, y))
        draw.rectangle((x - 1, y - 1, x + picture.width, 1 + tall), outline=FAINT)
        draw_lines(draw, x, tall + 10, lines, _LINE)
        if k or not starts:
            _arrow(draw, x - _GAP // 2, tall // 2)
    return image


def _arrow(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    draw.line((x - 9, y, x + 7, y), fill=GRAY, width=2)
    draw.polygon((x + 9, y, x + 2, y - 5, x + 2, y + 5), fill=GRAY)


def _paragraph(words: Sequence[Word]) -> Image.Image:
    lines = wrapped(words, _ROOM)
    image = Image.new("RGB", (WIDE, _LINE * len(lines) + 6), "white")
    draw_lines(ImageDraw.Draw(image), MARGIN, 0, lines, _LINE)
    return image


def _legend(stories: Sequence[Story]) -> Image.Image:
    """What the colours and lines mean, of those that occur."""
    entries = [entry for story in stories for entry in story.entries]
    image = Image.new("RGB", (_ROOM, 34), "white")
    draw = ImageDraw.Draw(image)
    draw.text((0, 6), MINUS, font=_TEXT, fill=GRAY)
    for k in range(120):
        draw.line((18 + k, 8, 18 + k, 24), fill=colour(2 * k / 119 - 1))
    draw.rectangle((17, 8, 138, 24), outline=FAINT)
    draw.text((146, 6), "+ by the range of the column", font=_TEXT, fill=GRAY)
    x = 190 + width("+ by the range of the column", _TEXT)
    items = [("0: nothing was done", "")]
    if any(not column.most for entry in entries for column in entry.columns):
        items.append(("always 0 with this spec", "hatch"))
    if any(entry.jumps for entry in entries):
        items.append(("jumps: no gradient", "line"))
    if any(not (e.slot.differentiable or e.jumps) for e in entries):
        items.append(("no gradient", "dots"))
    for text, kind in items:
        box = (x, 8, x + 24, 24)
        draw.rectangle(box, outline=FAINT)
        if kind == "hatch":
            hatch(draw, box)
        elif kind == "line":
            draw.line((x + 1, 26, x + 23, 26), fill=GRAY, width=3)
        elif kind == "dots":
            dots(draw, x + 2, x + 23, 26)
        draw.text((x + 32, 6), text, font=_TEXT, fill=GRAY)
        x += 62 + width(text, _TEXT)
    return image
