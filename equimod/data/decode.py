"""From the bytes of an image file to uint8 RGB.

Decode, turn upright as EXIF says, convert to 8-bit RGB. Then either leave the picture in its own
size, or make it a square as evaluation pipelines do: resize the shorter side to `size` (bilinear,
antialiased) and crop the central `size` x `size` square, with the pixels of torchvision's
`Resize(size)` and `CenterCrop(size)` on the upright RGB picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from equimod.data.base import CorruptImageError, DataError

# Formats that are not photographs, or that start an external program (EPS: Ghostscript).
_NOT_IMAGES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "WMF"})
_LYING = frozenset({5, 6, 7, 8})  # EXIF's orientations that swap height and width
_SPARE = 2  # a JPEG is decoded at least this many times larger than it is to be


def readable_extensions() -> frozenset[str]:
    """The lower-case file extensions, with the dot, of the image formats that can be decoded."""
    known = Image.registered_extensions()
    return frozenset(
        extension
        for extension, name in known.items()
        if name in Image.OPEN and name not in _NOT_IMAGES
    )


def decode(
    source: bytes | Path, *, place: str, size: int | None, max_side: int | None = None
) -> Tensor:
    """Decodes one image.

    Grayscale, palette, CMYK and 16-bit images become 8-bit RGB; an alpha channel is dropped, as
    torchvision's `ImageFolder` does; of an animation the first frame is taken.

    Args:
        source: the encoded bytes, or the file.
        place: what to call the image in an error: the file, or the file and row.
        size: side of the square that is resized to and cropped, in pixels; None leaves the
            picture's own size.
        max_side: a picture whose longer side has more pixels is shrunk to this many, in
            proportion. A JPEG is then decoded at a half, a quarter or an eighth of its size, where
            that leaves twice as many pixels as wanted, which is quicker but not quite the same.

    Returns:
        uint8 `(3, size, size)`, or `(3, H, W)` if `size` is None. Its memory then lies as
        (H, W, 3), as it was decoded.

    Raises:
        CorruptImageError: the bytes are no image, or stop too early.
    """
    with _opened(source, place) as opened:
        shrunk = None
        if max_side is not None and max(opened.size) > max_side:
            shrunk = _bounded(_upright(opened), max_side)
            width, height = _bounded(opened.size, max_side)
            opened.draft(None, (_SPARE * width, _SPARE * height))
        picture = _to_rgb(ImageOps.exif_transpose(opened))
        if shrunk is not None:
            picture = picture.resize(shrunk, Image.Resampling.BILINEAR)
    return to_square(picture, size) if size is not None else _to_tensor(picture)


def header_size(
    source: bytes | Path, *, place: str, max_side: int | None = None
) -> tuple[int, int]:
    """Height and width of what `decode` makes of an image, from its header alone.

    Args:
        source: the encoded bytes, or the file.
        place: what to call the image in an error.
        max_side: see `decode`.

    Raises:
        CorruptImageError: the bytes are no image.
    """
    with _opened(source, place) as opened:
        width, height = _bounded(_upright(opened), max_side)
        return height, width


def to_square(picture: Image.Image, size: int) -> Tensor:
    """Resizes the shorter side to `size` and crops the centre: uint8 `(3, size, size)`."""
    # torchvision takes seconds to import, and who checks or submits a run reads no image
    import torchvision.transforms.v2.functional as F

    resized = F.resize(picture, [size], interpolation=F.InterpolationMode.BILINEAR)
    return _to_tensor(F.center_crop(resized, [size, size])).contiguous()


@contextmanager
def _opened(source: bytes | Path, place: str) -> Iterator[Image.Image]:
    """The image, opened; whatever goes wrong with it is a `CorruptImageError`."""
    if isinstance(source, bytes) and not source:
        raise CorruptImageError(place, "it is empty")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.format in _NOT_IMAGES:
                raise CorruptImageError(place, f"{opened.format} files are not read as images")
            yield opened
    except (MemoryError, DataError):
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on broken bytes
        raise CorruptImageError(place, _reason(source, error)) from error


def _upright(opened: Image.Image) -> tuple[int, int]:
    """Width and height of an image that is not yet decoded, once it is upright."""
    width, height = opened.size
    # Pillow swaps the sides of a TIFF by itself
    if opened.format != "TIFF" and opened.getexif().get(ExifTags.Base.Orientation) in _LYING:
        return height, width
    return width, height


def _bounded(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Two sides, shrunk in proportion where the longer one is above `max_side`."""
    longer = max(size)
    if max_side is None or longer <= max_side:
        return size
    first, second = (max(1, round(side * max_side / longer)) for side in size)
    return first, second


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits per pixel; Pillow's own conversion clips at 255
        values = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray((values.clip(0, 65535) / 257 + 0.5).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    elif picture.mode == "P":
        picture = picture.convert("RGBA")  # a palette may hold transparency, which RGB cannot
    return picture.convert("RGB")


def _reason(source: bytes | Path, error: Exception) -> str:
    if isinstance(source, Path) and source.is_file() and not source.stat().st_size:
        return "it is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not an image that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
