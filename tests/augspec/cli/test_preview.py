"""`augspec preview`: the files it writes, and the mistakes it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, decoded
from PIL import Image

import augspec
from augspec.preview.pictures import built_in
from augspec.preview.samples import preview
from augspec.preview.scene import scene
from augspec.preview.text import MINUS

Command = Callable[..., tuple[int, str, str]]


def test_a_png_from_photographs(
    process: Command, specs: Path, photos: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "sheet.png"
    words = [specs / "simclr-imagenet.yaml", *photos[:2], "-o", file]
    assert process("preview", *words) == (0, f"{file}: simclr-imagenet, 2 rows\n", "")
    with Image.open(file) as image:
        assert round(image.info["dpi"][0]) == 200
        pixels = np.asarray(image.convert("RGB"))
    border = np.concatenate([pixels[:20].reshape(-1, 3), pixels[:, :20].reshape(-1, 3)])
    assert (border == 255).all()  # nothing runs out of the sheet
    assert (pixels[:, -20:] == 255).all() and (pixels[-20:] == 255).all()


def test_an_html_page(command: Command, specs: Path, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    code, _, err = command("preview", specs / "byol-cifar10.yaml", "-o", file, "--rows", "2")
    assert (code, err) == (0, "")
    page = Page(file.read_text())
    spec = augspec.load(specs / "byol-cifar10.yaml")
    found = preview(spec, [built_in((32, 32))], rows=2)
    assert len(page.images) == 6
    shown = [sample for row in found.rows for sample in row.samples]
    for source, sample in zip(page.images, shown, strict=True):
        assert (np.asarray(decoded(source)) == np.asarray(sample.image)).all()
    cells = [title for title in page.titles if " = " in title]
    assert len(cells) == 2 * 40
    column = shown[1].code[0]
    name = "resized_crop.center_y"
    assert cells[0].startswith(f"{name} = {column.value:.4g} (linear code, within ±")
    assert "resized_crop" in page.words


def test_names_are_escaped(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a<b>&.png"
    scene(40, 40).save(file)
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\nname: a\nviews: {first: {ops: [{op: solarize}]}}\n")
    assert command("preview", spec, file, "-o", tmp_path / "o.html")[0] == 0
    text = (tmp_path / "o.html").read_text()
    assert "a<b>" not in text
    assert "a<b>&.png, 40x40" in Page(text).words


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_the_command_sweeps(command: Command, specs: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"hue.{suffix}"
    words = ["--sweep", "first.color_jitter.hue", "--steps", "3", "-o", file]
    assert command("preview", specs / "quickstart.yaml", *words)[0] == 0
    if suffix == "html":
        page = Page(file.read_text())
        assert len(page.images) == 3
        assert {f"{MINUS}180°", "0°", "+180°"} <= set(page.words)
    else:
        with Image.open(file) as image:
            assert image.width > 3 * 220


def test_folders_and_rows(command: Command, specs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(3):
        scene(20 + k, 20).save(folder / f"{k}.PNG")
    (folder / "notes.txt").write_text("no image")
    spec, file = specs / "quickstart.yaml", tmp_path / "o.html"
    assert command("preview", spec, folder, "-o", file)[1].endswith("quickstart, 3 rows\n")
    out = command("preview", spec, folder, "-o", file, "--rows", "2")[1]
    assert out.endswith("2 rows (1 more images left out: --rows)\n")
    assert command("preview", spec, folder, "-o", file, "--rows", "4")[0] == 0
    assert len(Page(file.read_text()).images) == 4 * 3


def test_mistakes(command: Command, specs: Path, tmp_path: Path, bad: Path) -> None:
    spec, file = specs / "quickstart.yaml", tmp_path / "o.png"

    def errors(*words: str | Path) -> list[str]:
        code, out, err = command("preview", *words)
        assert (code, out) == (2, "")
        assert not file.exists()
        assert "Traceback" not in err
        return err.splitlines()

    assert errors(spec, "-o", tmp_path / "o.gif")[0].startswith("error: --output must end in .png")
    assert errors(spec, "-o", file, "--rows", "0") == ["error: --rows must be at least 1, got 0"]
    assert errors(spec, "-o", file, "--seed", "-1")[0].endswith("must lie in [0, 2**32), got -1")
    assert len(errors(bad, "-o", file)) == 9
    assert errors(spec, tmp_path / "no.png", tmp_path / "no.jpg", "-o", file) == [
        f"error: no such file: {tmp_path / 'no.png'}",
        f"error: no such file: {tmp_path / 'no.jpg'}",
    ]
    assert errors(spec, bad, "-o", file) == [f"error: cannot read {bad}: not an image"]
    (sweep_,) = errors(spec, "-o", file, "--sweep", "first.color_jiter.hue")
    assert "did you mean 'first.color_jitter.hue'?" in sweep_
    assert errors(spec)[0].startswith("error: Command")
