"""The contact sheet: one row for each image, one column for each view."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from augspec.preview.heat import legend, strip
from augspec.preview.samples import Preview, Row, Sample
from augspec.preview.text import (
    FAINT,
    GRAY,
    INK,
    Word,
    draw_lines,
    font,
    shortened,
    words_of,
    wrapped,
)

MARGIN, GAP = 36, 28
LINE = 23
"""Pixels from one line of text to the next."""


def sheet(preview: Preview) -> Image.Image:
    """The contact sheet as an image, to be printed at 200 dots per inch."""
    names = [view.name for view in preview.plan.views]
    columns = len(names) + preview.shows_images
    side = max(330, min(400, 2600 // columns))
    wide = max(2 * MARGIN + columns * side + (columns - 1) * GAP, 2 * MARGIN + legend().width)
    rows = [_row(preview, row, side) for row in preview.rows]
    headers = ["image"] * preview.shows_images + names
    parts = [_title(preview, wide), _headers(headers, side, wide), *rows]
    if any(sample.code for sample in preview.rows[0].samples):
        parts.append(indented(legend(), wide))
    return stacked(parts, wide)


def stacked(parts: Sequence[Image.Image], wide: int) -> Image.Image:
    """Images one under the other, with a margin."""
    high = 2 * MARGIN + sum(part.height for part in parts)
    whole = Image.new("RGB", (wide, high), "white")
    y = MARGIN
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def scaled(image: Image.Image, side: int) -> Image.Image:
    """The image as large as fits into a square: whole pixels when enlarged, smooth when shrunk."""
    factor = side / max(image.size)
    if factor >= 1:
        whole = max(1, int(factor))
        # an exact multiple shows each pixel alike; what is left to the side is made up smoothly
        large = image.resize((image.width * whole, image.height * whole), Image.Resampling.NEAREST)
        factor = side / max(large.size)
        image = large
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def titled(title: str, note: str, wide: int) -> Image.Image:
    """A title with a line of gray text under it."""
    image = Image.new("RGB", (wide, 84), "white")
    draw = ImageDraw.Draw(image)
    room = wide - 2 * MARGIN
    draw.text((MARGIN, 0), shortened(title, font(28, True), room), font=font(28, True), fill=INK)
    draw.text((MARGIN, 40), shortened(note, font(17), room), font=font(17), fill=GRAY)
    return image


def _title(preview: Preview, wide: int) -> Image.Image:
    note = f"seed {preview.seed}, epoch {preview.epoch}, plan {preview.plan.hash}"
    return titled(preview.plan.name, note, wide)


def _headers(names: Sequence[str], side: int, wide: int) -> Image.Image:
    image = Image.new("RGB", (wide, 38), "white")
    draw = ImageDraw.Draw(image)
    for k, name in enumerate(names):
        face = font(20, bold=True)
        x = MARGIN + k * (side + GAP)
        draw.text((x, 4), shortened(name, face, side), font=face, fill=INK)
    return image


def _row(preview: Preview, row: Row, side: int) -> Image.Image:
    cells: list[tuple[Image.Image, list[list[Word]], Sample | None]] = [
        (sample.image, _text(sample, side), sample) for sample in row.samples
    ]
    name, size = row.picture.name, f"{row.picture.image.width}x{row.picture.image.height}"
    source = f"{name}, {size}" + (f", {row.picture.note}" if row.picture.note else "")
    lines = wrapped(list(words_of(source, font(17), GRAY)), side)
    if preview.shows_images:
        cells.insert(0, (row.picture.image, lines, None))
    else:  # the first view that is the image as it is also says which image that is
        at = next(k for k, view in enumerate(preview.plan.views) if not view.steps)
        cells[at] = (cells[at][0], lines, cells[at][2])
    pictures = [scaled(image, side) for image, _, _ in cells]
    strips = [strip(sample.code, side) if sample else None for _, _, sample in cells]
    text_at = max(picture.height for picture in pictures) + 10
    strip_at = text_at + LINE * max(len(text) for _, text, _ in cells) + 12
    high = strip_at + max((s.height for s in strips if s), default=0) + 16
    image = Image.new("RGB", (_wide(len(cells), side), high), "white")
    draw = ImageDraw.Draw(image)
    for k, (picture, drawn) in enumerate(zip(pictures, strips, strict=True)):
        x = MARGIN + k * (side + GAP)
        image.paste(picture, (x, 0))
        box = (x - 1, -1, x + picture.width, picture.height)
        draw.rectangle(box, outline=FAINT)
        draw_lines(draw, x, text_at, cells[k][1], LINE)
        if drawn is not None:
            image.paste(drawn, (x, strip_at))
    return image


def _wide(columns: int, side: int) -> int:
    """How wide a row of so many columns is, the margins included."""
    return 2 * MARGIN + columns * side + (columns - 1) * GAP


def _text(sample: Sample, side: int) -> list[list[Word]]:
    """The view's size, then each op that acts with its parameters, wrapped."""
    size = f"{sample.image.width}x{sample.image.height}"
    lines = [list(words_of(size, font(17), GRAY))]
    for path, values in sample.acts:
        words: list[Word] = [(path, font(17, bold=True), INK)]
        words += words_of(values, font(17), INK) if values else []
        lines += wrapped(words, side)
    return lines


def indented(image: Image.Image, wide: int) -> Image.Image:
    """The image with a margin on its left, in an image so many pixels wide."""
    whole = Image.new("RGB", (wide, image.height), "white")
    whole.paste(image, (MARGIN, 0))
    return whole
