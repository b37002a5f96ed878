"""`augspec explain`: the files it writes, and the mistakes it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from html_page import Page
from PIL import Image

import augspec
from augspec.preview.pictures import read_pictures, to_tensor
from augspec.preview.scene import scene

Command = Callable[..., tuple[int, str, str]]


def test_a_page_about_a_photograph(
    command: Command, specs: Path, photos: list[Path], tmp_path: Path
) -> None:
    spec, file = specs / "byol-cifar10.yaml", tmp_path / "page.html"
    words = ["--view", "first", "--sample", "2", "--set", "views.first.ops.grayscale.p=1"]
    done = command("explain", spec, photos[0], "-o", file, *words)
    assert done == (0, f"{file}: byol-cifar10, first\n", "")
    page = Page(file.read_text()).root
    changed = augspec.load(spec, ["views.first.ops.grayscale.p=1"])
    (picture,) = read_pictures([photos[0]], (32, 32))
    batch = augspec.compile(changed)(to_tensor(picture.image, 3), ids=torch.tensor([2]), epoch=0)
    titles = [cell.attributes["title"] for cell in page.all("div", "cell")]
    shown = [float(title.split(" (")[0].split(" = ")[1]) for title in titles]
    assert shown == [float(f"{value:.6g}") for value in batch.codes["first"][0].tolist()]
    (python,) = page.all("pre")
    assert f'augspec.load("{spec}", ["views.first.ops.grayscale.p=1"])' in python.text
    assert photos[0].name in page.text
    assert [h.attributes.get("id") for h in page.all("h2")] == ["view-first", "promises", None]


def test_a_picture(command: Command, specs: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.png"
    words = [specs / "quickstart.yaml", "-o", file, "--seed", "4", "--epoch", "1"]
    code, out, err = command("explain", *words)
    assert (code, out, err) == (0, f"{file}: quickstart, original, first, second\n", "")
    with Image.open(file) as image:
        assert round(image.info["dpi"][0]) == 200
        assert image.width == 1520
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[:20] == 255).all() and (pixels[:, -20:] == 255).all()
    assert (pixels.astype(int).std(axis=(0, 1)) > 20).all()


def test_names_are_escaped(command: Command, tmp_path: Path) -> None:
    image, spec = tmp_path / "a<b>&.png", tmp_path / "spec.yaml"
    scene(20, 20).save(image)
    spec.write_text("version: 1\nname: a\ndescription: <i>&\nviews: {v: {ops: [{op: solarize}]}}\n")
    assert command("explain", spec, image, "-o", tmp_path / "o.html")[0] == 0
    text = (tmp_path / "o.html").read_text()
    assert "<b>&" not in text and "<i>&" not in text
    assert "a<b>&.png" in Page(text).root.text and "<i>&" in Page(text).root.text


def test_mistakes(command: Command, specs: Path, tmp_path: Path, bad: Path) -> None:
    spec, file = specs / "quickstart.yaml", tmp_path / "o.html"

    def error(*words: str | Path) -> str:
        code, out, err = command("explain", *words)
        assert (code, out) == (2, "")
        assert not file.exists()
        assert "Traceback" not in err
        return err

    assert error(spec, "-o", tmp_path / "o.pdf").startswith("error: --output must end in .png")
    assert error(spec, "-o", file, "--view", "frist") == (
        "error: unknown view 'frist'; did you mean 'first'? (views: original, first, second)\n"
    )
    assert error(spec, bad, "-o", file) == f"error: cannot read {bad}: not an image\n"
    missing = tmp_path / "no.png"
    assert error(spec, missing, "-o", file) == f"error: no such file: {missing}\n"
    assert error(spec, tmp_path, "-o", file) == f"error: {tmp_path} is a folder: name one image\n"
    assert error(spec, "-o", file, "--seed", "-1").endswith("must lie in [0, 2**32), got -1\n")
    too_large = str(2**56)
    assert error(spec, "-o", file, "--sample", too_large).endswith(f"2**56), got {too_large}\n")
    assert len(error(bad, "-o", file).splitlines()) > 3
    turns, wide = tmp_path / "turns.yaml", tmp_path / "wide.png"
    turns.write_text("version: 1\nname: a\nviews: {v: {ops: [{op: rotate90}]}}\n")
    scene(20, 30).save(wide)
    assert "error: wide.png: rotate90" in error(turns, wide, "-o", file)


@pytest.mark.parametrize("sample", ["0", str(2**56 - 1)])
def test_any_sample(command: Command, specs: Path, tmp_path: Path, sample: str) -> None:
    file = tmp_path / "o.html"
    words = [specs / "quickstart.yaml", "-o", file, "--sample", sample, "--view", "first"]
    assert command("explain", *words)[0] == 0
    assert f"sample {sample};" in Page(file.read_text()).root.text
