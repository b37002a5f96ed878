"""`augspec record` and `augspec replay`: real processes, real images, and the mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from augspec.cli.replay import file_name
from augspec.codes.exchange import load_batch, write_batch
from augspec.codes.reference import LEVELS, reference_pixels, sample_params
from augspec.preview.scene import scene

Command = Callable[..., tuple[int, str, str]]

SPEC = """
version: 1
name: small
normalize: {mean: [0.5], std: [0.25]}
views:
  original: {}
  first:
    ops:
      - {op: resized_crop, size: 20, interpolation: bicubic}
      - {op: color_jitter, brightness: 0.4, contrast: 0.4, hue: 0.1}
      - {op: gaussian_noise, sigma: 0.1}
      - {op: gaussian_blur, kernel: 5}
      - {op: solarize, p: 0.5, threshold: 0.5019607843137255}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of three sizes."""
    path = tmp_path / "images"
    path.mkdir()
    for k, name in enumerate(("b.png", "a.png", "c.png")):
        scene(30 + k, 40 - k).save(path / name)
    return path


def test_another_process_renders_the_same_bits(
    process: Command, specs: Path, photos: list[Path], tmp_path: Path
) -> None:
    """The second process has fewer instructions to use, so that it adds in another order."""
    file, out = tmp_path / "batch.parquet", tmp_path / "views"
    words = [specs / "byol-imagenet.yaml", *photos[:2], "-o", file, "--epoch", "3"]
    assert process("record", *words) == (
        0,
        f"{file}: byol-imagenet, 2 samples, views original, first, second\n",
        "",
    )
    plain = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    plain |= {"ONEDNN_MAX_CPU_ISA": "SSE41"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("augspec")), "replay", str(file), "-o", str(out)],
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{file}: byol-imagenet, 2 samples, seed 0, epoch 3, on cpu\n"
        "view      bit-equal  largest difference\n"
        "original  2 of 2     0\n"
        "first     2 of 2     0\n"
        "second    2 of 2     0\n"
        f"{out}: 6 views\n"
    )
    saved = load_batch(file)
    pipeline = saved.pipeline()
    params = sample_params(pipeline.decode(saved.codes, saved.seeds), 1)
    (_, image) = saved.images or ()
    with Image.open(out / f"0001-{photos[1].stem}-second.png") as shown:
        pixels = torch.from_numpy(np.array(shown)).permute(2, 0, 1).double()
    view = reference_pixels(pipeline.plan, image, params)["second"].clamp(0, 1)
    assert (view * 255 - pixels).abs().max() <= 0.5 + 255 / LEVELS


def test_images_of_different_sizes(
    command: Command, spec: Path, folder: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "batch.parquet", tmp_path / "out"
    assert command("record", spec, folder, "-o", file, "--rows", "4", "--seed", "7")[0] == 0
    saved = load_batch(file)
    assert saved.names == ("a.png", "b.png", "c.png", "a.png")
    assert saved.sizes.tolist() == [[31, 39], [30, 40], [32, 38], [31, 39]]
    assert saved.seed == 7
    assert not torch.equal(saved.codes["first"][0], saved.codes["first"][3])
    code, printed, _ = command("replay", file, "-o", out, "--device", "auto")
    assert code == 0 and "first     4 of 4     0" in printed
    assert sorted(p.name for p in out.iterdir()) == sorted(
        f"{k:04d}-{name}-{view}.png"
        for k, name in enumerate("abca")
        for view in ("original", "first")
    )
    for name in "abc":
        with Image.open(out / f"000{'abc'.index(name)}-{name}-original.png") as shown:
            assert (np.asarray(shown) == np.asarray(Image.open(folder / f"{name}.png"))).all()


def test_images_that_are_left_out(
    command: Command, spec: Path, folder: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "batch.safetensors", tmp_path / "out"
    assert command("record", spec, folder, "-o", file, "--no-images")[0] == 0
    assert load_batch(file).images is None
    code, _, err = command("replay", file, "-o", out)
    assert (code, err) == (
        2,
        f"error: {file}: the batch holds no images: give those that it was made of\n",
    )
    given = [folder / name for name in ("c.png", "a.png", "b.png")]
    assert command("replay", file, *given, "-o", out)[0] == 0
    image = np.array(Image.open(folder / "b.png"))
    image[3, 4, 1] ^= 1
    Image.fromarray(image).save(folder / "b.png")
    code, _, err = command("replay", file, folder, "-o", tmp_path / "none")
    assert (code, err) == (
        2,
        f"error: {file}: not among the images given, to the last pixel: b.png\n",
    )
    assert not (tmp_path / "none").exists()


def test_a_difference_is_a_finding(
    command: Command, spec: Path, folder: Path, tmp_path: Path
) -> None:
    """A file that says other codes than those that its views were made by."""
    file, out = tmp_path / "batch.safetensors", tmp_path / "out"
    assert command("record", spec, folder, "-o", file, "--views")[0] == 0
    saved = load_batch(file)
    seeds = {"original": {}, "first": {k: s.flip(0) for k, s in saved.seeds["first"].items()}}
    write_batch(file, replace(saved, seeds=seeds))
    code, printed, err = command("replay", file, "-o", out)
    assert (code, err) == (1, "")
    assert "original  3 of 3     0\n" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("first")]
    assert line.startswith("first     1 of 3     ")
    assert float(line.split()[4]) > 0.1 and line.endswith(("(sample 0)", "(sample 2)"))
    write_batch(file, replace(saved, seeds=seeds, views=None))
    code, printed, _ = command("replay", file, "-o", out)
    assert code == 1
    assert "first     1 of 3     unknown: record with --views (first: sample 0)" in printed
    write_batch(file, replace(saved, seeds=seeds, view_digests={}, views=None))
    code, printed, _ = command("replay", file, "-o", out)
    assert code == 0 and "first     nothing recorded\n" in printed


def test_the_spec_is_recorded_as_it_was_used(command: Command, spec: Path, tmp_path: Path) -> None:
    file = tmp_path / "batch.safetensors"
    words = ["--set", "views.first.ops.solarize.p=0", "-o", file]
    assert command("record", spec, *words)[0] == 0
    spec.unlink()
    (recorded,) = [o for o in load_batch(file).spec.document()["views"]["first"]["ops"] if "p" in o]
    assert recorded["p"] == 0
    assert load_batch(file).names == ("built-in scene",)
    assert command("replay", file, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "0000-built-in_scene-first.png").is_file()


def test_a_fixed_size(command: Command, specs: Path, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "batch.parquet"
    words = [specs / "quickstart.yaml", folder, "-o", file, "--no-images"]
    assert command("record", *words)[1] == (
        f"{file}: quickstart, 3 samples, views original, first, second "
        "(3 cut and resized to the spec's image.size)\n"
    )
    assert load_batch(file).sizes.tolist() == [[32, 32]] * 3
    assert command("replay", file, folder, "-o", tmp_path / "out")[0] == 0


def test_names_stay_inside_the_folder(command: Command, spec: Path, tmp_path: Path) -> None:
    file = tmp_path / "batch.safetensors"
    assert command("record", spec, "-o", file, "--rows", "4")[0] == 0
    names = ("../../up.png", "/etc/passwd", "a b\n\0\u00e9.png", ".." + 300 * "x" + ".png")
    saved = replace(load_batch(file), names=names)
    assert [file_name(saved, k, "v") for k in range(3)] == [
        "0000-up-v.png",
        "0001-passwd-v.png",
        "0002-a_b___-v.png",
    ]
    write_batch(file, saved)
    assert command("replay", file, "-o", tmp_path / "in" / "out")[0] == 0
    assert len(list((tmp_path / "in" / "out").iterdir())) == 8
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["out"]


def test_mistakes(command: Command, spec: Path, folder: Path, tmp_path: Path, bad: Path) -> None:
    file = tmp_path / "o.safetensors"

    def errors(*words: str | Path) -> list[str]:
        code, out, err = command(*words)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        return err.splitlines()

    (wrong,) = errors("record", spec, "-o", tmp_path / "o.pt")
    assert wrong.startswith("error: --output must end in .safetensors or .parquet, got ")
    assert errors("record", spec, "-o", file, "--rows", "0") == [
        "error: --rows must be at least 1, got 0"
    ]
    assert errors("record", spec, "-o", file, "--seed", "-1")[0].endswith("got -1")
    assert errors("record", spec, tmp_path / "no.png", "-o", file) == [
        f"error: no such file: {tmp_path / 'no.png'}"
    ]
    assert len(errors("record", bad, "-o", file)) == 9
    Image.new("RGB", (2, 2)).save(tmp_path / "tiny.png")
    large = tmp_path / "large.yaml"
    large.write_text("{version: 1, name: a, views: {v: {ops: [{op: gaussian_blur, kernel: 9}]}}}")
    (wrong,) = errors("record", large, tmp_path / "tiny.png", "-o", file)
    assert "blur kernel is 9 pixels, too large" in wrong
    assert not file.exists()

    out = tmp_path / "out"
    assert errors("replay", file, "-o", out) == [f"error: {file}: no such file"]
    assert errors("replay", spec, "-o", out)[0].endswith("must end in .safetensors or .parquet")
    assert command("record", spec, folder, "-o", file)[0] == 0
    assert errors("replay", file, "-o", spec) == [
        f"error: --output must be a folder, and {spec} is a file"
    ]
    if not torch.cuda.is_available():
        assert errors("replay", file, "-o", out, "--device", "cuda") == [
            "error: --device cuda: torch sees no CUDA GPU here (cpu, auto)"
        ]
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert errors("replay", file, "-o", out)[0].startswith(f"error: {file}: is damaged")
    file.write_bytes(data.replace(b'\\"samples', b'\\"zamples'))
    assert errors("replay", file, "-o", out)[0].startswith(f"error: {file}: its header is not")
    assert not out.exists()


@pytest.mark.gpu
def test_a_gpu_renders_the_same_bits(
    command: Command, specs: Path, photos: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "batch.safetensors"
    for name in ("byol-imagenet", "randaugment-imagenet", "augmix"):
        words = [specs / f"{name}.yaml", *photos[:8], "-o", file, "--views"]
        assert command("record", *words)[0] == 0
        code, printed, _ = command("replay", file, "-o", tmp_path / "out", "--device", "cuda")
        assert code == 0, printed
