"""A pipeline in two parts: the same draws, codes and views as in one."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.io import ImageReadMode, decode_image

import augspec
from augspec import Ragged
from augspec.compiler.pipeline import Pipeline, ViewBatch
from augspec.compiler.split import HostBatch, head_length, split

RECIPES = sorted((Path(__file__).parents[3] / "specs" / "augmentations").glob("*.yaml"))
BETWEEN_BACKENDS = 2e-5
IDS = torch.tensor([7, 1, 2**40, 3])
POSITIONS = torch.arange(4, 8)


def noise(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(0, 256, (3, *s), generator=generator, dtype=torch.uint8) for s in sizes]


def pipeline_of(text: str, **options: object) -> Pipeline:
    return augspec.compile(augspec.loads(text), seed=3, **options)


def both(pipeline: Pipeline, images: object, epoch: int = 5) -> tuple[ViewBatch, ViewBatch]:
    """What the parts give, and the pipeline in one."""
    host, device = split(pipeline)
    which = {"ids": IDS, "epoch": epoch, "positions": POSITIONS}
    return device(host(images, **which)), pipeline(images, **which)


def assert_same(found: ViewBatch, expected: ViewBatch, tolerance: float = 0.0) -> None:
    assert list(found.views) == list(expected.views)
    for name, view in expected.views.items():
        torch.testing.assert_close(found.views[name], view, rtol=0, atol=tolerance)
        assert torch.equal(found.codes[name], expected.codes[name])
        assert found.params[name].keys() == expected.params[name].keys()
        for key, value in expected.params[name].items():
            assert torch.equal(found.params[name][key], value), key
        for key, value in expected.seeds[name].items():
            assert torch.equal(found.seeds[name][key], value), key


def renders_ragged(spec: augspec.Spec) -> bool:
    views = augspec.make_plan(spec).views
    return all(any(s.op.fixed_output_size() for s in view.steps) for view in views)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_give_the_same_views(recipe: Path) -> None:
    spec = augspec.load(recipe)
    pipeline = augspec.compile(spec, seed=3, backend="eager")
    height, width = spec.input_size or (60, 83)
    assert_same(*both(pipeline, torch.stack(noise(*[(height, width)] * 4))))
    if renders_ragged(spec):
        assert_same(*both(pipeline, noise((60, 83), (97, 45), (60, 83), (31, 50))))


def test_the_fused_kernels_give_the_same_to_rounding() -> None:
    spec = augspec.load(next(path for path in RECIPES if path.stem == "simclr-imagenet"))
    pipeline = augspec.compile(spec, seed=3, backend="numba")
    ragged = noise((300, 233), (197, 245), (60, 383), (331, 250))
    scale = 1 / min(spec.normalize.std)  # the tolerance is one of intensities
    for images in (ragged, torch.stack(noise(*[(256, 256)] * 4))):
        assert_same(*both(pipeline, images), BETWEEN_BACKENDS * scale)


CHAIN = """
version: 1
name: chain
normalize: {mean: [0.5], std: [0.25]}
views:
  original: {ops: []}
  v:
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: resized_crop, size: 16, area: [0.3, 1.0]}
      - {op: vertical_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
      - {op: gaussian_noise, sigma: [0.01, 0.2]}
      - {op: horizontal_flip, p: 0.5}
      - {op: elastic, p: 0.5}
"""
LATE = """
version: 1
name: late
views:
  v:
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: gaussian_blur, p: 0.7, kernel: 3}
      - {op: resize, size: 20}
      - {op: random_crop, size: 18, padding: 2, mode: reflect}
      - {op: vertical_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
"""


def test_the_host_does_the_geometry_at_the_head() -> None:
    original, view = pipeline_of(CHAIN).plan.views
    assert (head_length(original), head_length(view)) == (0, 3)
    # images of different sizes are no batch before the crop
    assert head_length(pipeline_of(LATE).plan.views[0]) == 5
    colour = CHAIN.replace("  original: {ops: []}\n", "  grey: {ops: [{op: grayscale}]}\n")
    assert head_length(pipeline_of(colour).plan.view("grey")) == 0


def test_noise_and_normalisation_are_those_of_the_whole() -> None:
    images = torch.stack(noise(*[(24, 30)] * 4))
    pipeline = pipeline_of(CHAIN, backend="eager")
    found, expected = both(pipeline, images)
    assert_same(found, expected)
    assert set(found.seeds["v"]) == {"gaussian_noise.seed", "elastic.seed"}
    assert not torch.equal(found.views["v"], both(pipeline, images, epoch=6)[0].views["v"])
    host = split(pipeline)[0](images, ids=IDS, epoch=5)
    assert host.pixels["original"] is images  # bytes travel as bytes
    assert host.pixels["v"].shape == (4, 3, 16, 16) and host.pixels["v"].dtype == torch.float32
    assert len(host) == 4


@pytest.mark.parametrize("images", [list, Ragged.stack], ids=["list", "ragged"])
def test_images_of_different_sizes(images: type) -> None:
    batch = images(noise((40, 31), (25, 33), (40, 31), (64, 20)))
    assert_same(*both(pipeline_of(LATE, backend="eager"), batch))


def test_the_output_is_that_of_the_whole() -> None:
    form = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
    images = torch.stack(noise(*[(24, 30)] * 4))
    found, expected = both(pipeline_of(CHAIN, backend="eager", **form), images)
    assert_same(found, expected)
    assert found.views["v"].dtype == torch.bfloat16
    assert found.views["v"].is_contiguous(memory_format=torch.channels_last)
    doubled = images.double() / 255
    found, expected = both(pipeline_of(CHAIN), doubled)
    assert_same(found, expected)
    assert found.views["v"].dtype == torch.float64


def test_gradients_pass_through_both_parts() -> None:
    x = torch.stack(noise(*[(24, 30)] * 4)).double() / 255
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = both(pipeline_of(CHAIN), one)[0], both(pipeline_of(CHAIN), two)[1]
    for batch in (found, expected):
        batch.views["v"].square().sum().backward()
    assert one.grad.abs().sum() > 0
    torch.testing.assert_close(one.grad, two.grad)


def test_what_is_wrong_is_named() -> None:
    images = noise((40, 31), (25, 33), (40, 31), (64, 20))
    with pytest.raises(ValueError, match=r"'original' leaves .* sizes, such as 25x33 and 64x20"):
        both(pipeline_of(CHAIN, backend="eager"), images)
    with pytest.raises(ValueError, match=r"must have 3 channels, as the spec says, got 1"):
        both(pipeline_of(LATE), [image[:1] for image in images])
    host, _ = split(pipeline_of(LATE))
    _, other = split(augspec.compile(augspec.loads(LATE), seed=4))
    with pytest.raises(ValueError, match=r"another pipeline: plan \w+, seed 3, not plan \w+, se"):
        other(host(images, ids=IDS, epoch=0))


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of different sizes, as JPEG files."""
    folder = tmp_path_factory.mktemp("jpegs")
    sizes = [(60 + 7 * k, 90 - 5 * k) for k in range(12)]
    for number, image in enumerate(noise(*sizes)):
        smooth = torch.nn.functional.avg_pool2d(image.float(), 9, 1, 4).byte()
        Image.fromarray(smooth.permute(1, 2, 0).numpy()).save(folder / f"{number:02}.jpg")
    return sorted(folder.iterdir())


class Decoding:
    """What a worker does for a batch: decodes it, and the host's part."""

    def __init__(self, files: list[Path], pipeline: Pipeline) -> None:
        self.files, self.host = files, split(pipeline)[0]

    def __call__(self, ids: Iterable[int]) -> HostBatch:
        ids = list(ids)
        images = [decode_image(str(self.files[i]), ImageReadMode.RGB) for i in ids]
        return self.host(images, ids=torch.tensor(ids), epoch=2)


def whole_views(files: list[Path], pipeline: Pipeline) -> ViewBatch:
    images = [decode_image(str(path), ImageReadMode.RGB) for path in files]
    return pipeline(images, ids=torch.arange(len(files)), epoch=2)


def test_worker_processes_do_the_host_part(jpegs: list[Path]) -> None:
    pipeline = pipeline_of(LATE, backend="eager")
    work = pickle.loads(pickle.dumps(Decoding(jpegs, pipeline)))  # as for a process that is spawned
    loader = DataLoader(range(len(jpegs)), batch_size=5, num_workers=2, collate_fn=work)
    device = split(pipeline)[1]
    found = [device(batch.to("cpu")) for batch in loader]
    expected = whole_views(jpegs, pipeline)
    assert torch.equal(torch.cat([batch.codes["v"] for batch in found]), expected.codes["v"])
    views = torch.cat([batch.views["v"] for batch in found])
    torch.testing.assert_close(views, expected.views["v"], rtol=0, atol=3e-7)


def test_threads_do_the_host_part(jpegs: list[Path]) -> None:
    pipeline = pipeline_of(LATE)
    work, device = Decoding(jpegs, pipeline), split(pipeline)[1]
    with ThreadPoolExecutor(4) as pool:
        found = [device(batch) for batch in pool.map(work, [[k] for k in range(len(jpegs))] * 3)]
    expected = whole_views(jpegs, pipeline)
    for number, batch in enumerate(found):
        row = number % len(jpegs)
        assert torch.equal(batch.codes["v"], expected.codes["v"][row : row + 1])
        view = expected.views["v"][row : row + 1]
        torch.testing.assert_close(batch.views["v"], view, rtol=0, atol=BETWEEN_BACKENDS)


@pytest.mark.gpu
def test_the_device_part_on_a_gpu(jpegs: list[Path]) -> None:
    pipeline = pipeline_of(LATE, backend="eager")
    host, device = Decoding(jpegs, pipeline), split(pipeline)[1].to("cuda")
    found = device(host(range(len(jpegs))).pin_memory().to("cuda"))
    expected = whole_views(jpegs, pipeline)
    assert found.views["v"].device.type == "cuda"
    assert torch.equal(found.codes["v"].cpu(), expected.codes["v"])
    torch.testing.assert_close(found.views["v"].cpu(), expected.views["v"], rtol=0, atol=1e-5)
