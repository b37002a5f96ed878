"""The images that previews are made of: files, folders, or the built-in scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.ops.contract import Size
from augspec.preview.scene import scene

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
SCENE_SIZE = (256, 256)
ORIENTATION = 0x0112  # EXIF: from 5 on, rows and columns are exchanged


@dataclass(frozen=True)
class Picture:
    """One image with what it is called.

    Attributes:
        name: the name of its file.
        note: what was done to it, if anything.
        image: RGB.
    """

    name: str
    note: str
    image: Image.Image


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The image files, those of folders in the order of their names.

    Raises:
        SpecError: a path does not exist, or a folder holds no image; all are listed.
    """
    files: list[Path] = []
    mistakes: list[Diagnostic] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not inside or not path.exists():
            what = "no images in" if path.is_dir() else "no such file:"
            mistakes.append(Diagnostic(None, f"{what} {path}"))
        files += inside
    if mistakes:
        raise SpecError(*mistakes)
    return files


def read_pictures(files: Sequence[Path], size: Size | None) -> list[Picture]:
    """Reads images; where the spec says in which size images come in, they are brought to it.

    Raises:
        SpecError: a file is no image; all such files are listed.
    """
    found: list[Picture] = []
    mistakes: list[Diagnostic] = []
    for file in files:
        try:
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            mistakes.append(Diagnostic(None, f"cannot read {file}: {_reason(error)}"))
            continue
        note = ""
        if size is not None and image.size != size[::-1]:
            note = f"cut and resized from {image.width}x{image.height}"
            image = ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)
        found.append(Picture(file.name, note, image))
    if mistakes:
        raise SpecError(*mistakes)
    return found


def pictures_of(files: Sequence[Path], size: Size | None) -> list[Picture]:
    """The images of these files, as `read_pictures`; the built-in scene if there are none."""
    return read_pictures(files, size) or [built_in(size)]


def read_size(file: Path) -> Size:
    """Height and width of an image, as it is shown, without reading its pixels.

    Raises:
        SpecError: the file is no image.
    """
    try:
        with Image.open(file) as opened:
            turned = opened.getexif().get(ORIENTATION, 1) >= 5
            width, height = opened.size
    except (OSError, Image.DecompressionBombError) as error:
        raise SpecError(Diagnostic(None, f"cannot read {file}: {_reason(error)}")) from None
    return (width, height) if turned else (height, width)


def _reason(error: Exception) -> str:
    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error)


def built_in(size: Size | None) -> Picture:
    """The scene that needs no file."""
    return Picture("built-in scene", "", scene(*(size or SCENE_SIZE)))


def to_tensor(image: Image.Image, channels: int) -> Tensor:
    """An image as `(1, C, H, W)` uint8."""
    pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], channels).permute(2, 0, 1)[None]


def to_image(view: Tensor) -> Image.Image:
    """A view `(C, H, W)` in [0, 1], whatever leaves it cut off, as RGB."""
    pixels = (view.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    gray = pixels.shape[2] == 1
    return Image.fromarray(pixels[..., 0] if gray else pixels).convert("RGB")
