"""Decoding image files: the modes, the orientations and the ways of being broken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from equimod.data.base import CorruptImageError
from equimod.data.decode import decode, readable_extensions


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def ramp(mode: str = "RGB") -> Image.Image:
    values = np.arange(16 * 24 * 3, dtype=np.uint32).reshape(16, 24, 3) * 7 % 256
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def test_pixels_are_those_of_torchvision(photos: list[Path]) -> None:
    reference = v2.Compose([v2.Resize(96), v2.CenterCrop(96), v2.PILToTensor()])
    for path in photos[:12]:
        found = decode(path, place=str(path), size=96)
        assert found.shape == (3, 96, 96)
        assert torch.equal(found, reference(Image.open(path).convert("RGB")))
        assert torch.equal(found, decode(path.read_bytes(), place="bytes", size=96))


def test_rgb_is_kept_bit_for_bit() -> None:
    found = decode(encoded(ramp()), place="x", size=None)
    assert torch.equal(found, torch.from_numpy(np.array(ramp())).permute(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "PA"])
def test_other_modes_become_rgb(mode: str) -> None:
    picture = ramp(mode)
    found = decode(encoded(picture, "TIFF" if mode == "PA" else "PNG"), place="x", size=None)
    expected = np.array(picture.convert("RGBA").convert("RGB"))
    assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))


def test_cmyk_jpeg() -> None:
    found = decode(encoded(ramp().convert("CMYK"), "JPEG", quality=100), place="x", size=None)
    assert found.shape == (3, 16, 24)
    assert (found.double().mean() - np.array(ramp()).mean()).abs() < 3


def test_sixteen_bit_grayscale_keeps_its_range() -> None:
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    found = decode(encoded(Image.fromarray(values)), place="x", size=None)
    assert torch.equal(found[0], found[2])
    assert np.array_equal(found[0].numpy(), np.round(values / 257).astype(np.uint8))


def test_palette_transparency_is_read_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    decode(encoded(ramp("P"), transparency=bytes(range(256))), place="x", size=None)
    assert not recwarn.list


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(ramp(), exif=exif), place="x", size=None)
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](np.array(ramp()))
    assert np.array_equal(found.permute(1, 2, 0).numpy(), turned)


def test_broken_bytes_name_the_place() -> None:
    png = encoded(ramp())
    jpeg = encoded(ramp(), "JPEG")
    broken = {
        "empty": b"",
        "text": b"not an image at all",
        "truncated png": png[: len(png) // 2],
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "header only": png[:30],
        "damaged": png[:50] + b"\xff" * 20 + png[70:],
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n",
        "float tiff": encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
    }
    for name, content in broken.items():
        with pytest.raises(CorruptImageError, match=f"cannot decode the image row 7 of {name}: "):
            decode(content, place=f"row 7 of {name}", size=8)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(CorruptImageError, match=r"empty\.jpg: it is empty"):
        decode(empty, place=str(empty), size=8)
    with pytest.raises(CorruptImageError, match="no such file"):
        decode(tmp_path / "gone.jpg", place="gone.jpg", size=8)


def test_extensions() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".bmp", ".gif"} <= readable_extensions()
    assert not {".pdf", ".eps", ".mpg", ".h5", ".txt", ".npy"} & readable_extensions()
