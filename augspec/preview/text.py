"""Text on pictures: measured, wrapped and shortened in pixels, so that none is clipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

MINUS, TIMES = "\u2212", "\u00d7"  # the signs that look best beside numbers
INK, GRAY, FAINT = "#1a1a1a", "#6b6b6b", "#c9c9c9"


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the signs that parameters need."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(file), size)


def width(text: str, face: ImageFont.FreeTypeFont) -> int:
    """How many pixels wide the text is."""
    return round(face.getlength(text) + 0.5)


def shortened(text: str, face: ImageFont.FreeTypeFont, room: int) -> str:
    """The text, its middle left out where it is wider than `room` pixels."""
    if width(text, face) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head = (kept + 2) // 3  # the end of a path or of a file's name says more
        found = f"{text[:head]}…{text[len(text) - kept + head :]}"
        if width(found, face) <= room:
            return found
    return "…"


Word = tuple[str, ImageFont.FreeTypeFont, str]
"""A word with its font and colour."""


def wrapped(words: Sequence[Word], room: int) -> list[list[Word]]:
    """Words as lines of at most `room` pixels.

    A word may hold spaces, at which it is only broken where it is wider than a line; a word that is
    too wide all the same is shortened.
    """
    lines: list[list[Word]] = []
    left = 0
    for text, face, colour in _broken(words, room):
        text = shortened(text, face, room)
        need = width(text, face)
        if not lines or need > left:
            lines.append([])
            left = room
        lines[-1].append((text, face, colour))
        left -= need + width(" ", face)
    return lines


def _broken(words: Sequence[Word], room: int) -> Iterator[Word]:
    for text, face, colour in words:
        parts = text.split(" ") if width(text, face) > room or " > " in text else [text]
        yield from ((part, face, colour) for part in parts)


def draw_lines(
    draw: ImageDraw.ImageDraw, x: int, y: int, lines: Sequence[Sequence[Word]], step: int
) -> None:
    """Draws lines of words, the first one's top at `y`, `step` pixels apart."""
    for line in lines:
        at = x
        for text, face, colour in line:
            draw.text((at, y), text, font=face, fill=colour)
            at += width(text + " ", face)
        y += step


def upright(text: str, face: ImageFont.FreeTypeFont, colour: str) -> Image.Image:
    """The text turned to read upwards, on nothing; it ends at the image's upper edge."""
    ascent, descent = face.getmetrics()
    flat = Image.new("RGBA", (width(text, face), ascent + descent), (255, 255, 255, 0))
    ImageDraw.Draw(flat).text((0, 0), text, font=face, fill=colour)
    return flat.transpose(Image.Transpose.ROTATE_90)


def words_of(text: str, face: ImageFont.FreeTypeFont, colour: str) -> Iterator[Word]:
    """The parts of a text between commas, each as a word, in one font and colour."""
    parts = text.split(", ")
    for part in parts[:-1]:
        yield f"{part},", face, colour
    yield parts[-1], face, colour
