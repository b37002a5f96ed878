"""Writing pictures to files."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from augspec.language.files import write_atomically

_DOTS_PER_INCH = 200


def png(image: Image.Image) -> bytes:
    """The image as a PNG that prints at 200 dots per inch."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH), optimize=True)
    return stream.getvalue()


def write_png(path: Path, image: Image.Image) -> None:
    """Writes a PNG, whole or not at all.

    Raises:
        OSError: see `write_atomically`.
    """
    write_atomically(path, png(image))


def data_uri(image: Image.Image) -> str:
    """The image as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")
