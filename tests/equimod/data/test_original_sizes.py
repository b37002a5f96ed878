"""Images in their original sizes: read, counted and batched without a common size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

import augspec
from augspec import Ragged, SpecError, loads_model
from equimod.data import (
    Batch,
    CorruptImageError,
    CorruptReport,
    DataError,
    FolderConfig,
    ImageData,
    InMemoryRagged,
    ParquetConfig,
    ShapesConfig,
    batches,
    require_one_size,
)
from equimod.data.decode import decode, header_size

ORIENTATION = 0x0112
SIZES = [(40 + 9 * k % 31, 64 - 7 * k % 40) for k in range(24)]
CORRUPT = (5, 12)


def scene(height: int, width: int, phase: float = 0.0) -> Image.Image:
    """A smooth colour picture, of which no two are alike."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(7 * x * k + phase) + np.cos(5 * y * k - phase) for k in (1.0, 1.7, 2.9)]
    return Image.fromarray((np.stack(waves, axis=-1) * 60 + 127).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of two classes; two are corrupt: one is cut short, one holds something else."""
    root = tmp_path_factory.mktemp("photographs")
    for number, size in enumerate(SIZES):
        path = root / "train" / ("wren" if number % 2 else "jay") / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scene(*size, number), quality=95))
    files = sorted((root / "train").rglob("*.jpg"))
    files[CORRUPT[0]].write_bytes(files[CORRUPT[0]].read_bytes()[:-200])
    files[CORRUPT[1]].write_bytes(b"not a photograph")
    return root


def build(root: Path, memory_limit: int = 0, **options: object) -> ImageData:
    config = FolderConfig(path=root, size="original", memory_limit=memory_limit, **options)
    return config.build("train", Path("/nowhere"))


@pytest.fixture(scope="module", params=["files", "memory"])
def data(request: pytest.FixtureRequest, folder: Path) -> ImageData:
    return build(folder, 0 if request.param == "files" else 2**30)


def run(data: ImageData, **options: object) -> list[Batch]:
    return list(batches(data, **{"batch_size": 6, "seed": 3, "epoch": 1, **options}))


def pictures(found: list[Batch]) -> list[Tensor]:
    return [image for batch in found for image in batch.images.images()]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("max_side", [None, 30])
def test_headers_say_what_decoding_gives(kind: str, max_side: int | None) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        source = encoded(scene(47, 89), kind, exif=exif)
        size = header_size(source, place="x", max_side=max_side)
        image = decode(source, place="x", size=None, max_side=max_side)
        assert size == tuple(image.shape[1:])
        upright = size if orientation < 5 else size[::-1]
        assert upright == ((47, 89) if max_side is None else (16, 30))


def test_photographs_keep_their_pixels(photos: list[Path]) -> None:
    for path in photos[:8]:
        found = decode(path, place=str(path), size=None)
        expected = np.array(Image.open(path).convert("RGB"))
        assert torch.equal(found, torch.from_numpy(expected).permute(2, 0, 1))
        assert header_size(path, place=str(path)) == tuple(found.shape[1:])
        assert found.permute(1, 2, 0).is_contiguous()  # as decoded: stacking copies it as it lies


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_very_large_photographs_may_be_bounded(kind: str) -> None:
    picture = scene(1500, 2100)
    source = encoded(picture, kind)
    small = decode(source, place="x", size=None, max_side=256)
    assert small.shape == (3, 183, 256)
    expected = Image.open(io.BytesIO(source)).resize((256, 183), Image.Resampling.BILINEAR)
    wanted = torch.from_numpy(np.array(expected)).permute(2, 0, 1)
    difference = (small.int() - wanted.int()).abs()
    assert difference.max() <= (4 if kind == "JPEG" else 0)
    # what is not larger stays as it is
    kept = decode(source, place="x", size=None, max_side=2100)
    assert torch.equal(kept, decode(source, place="x", size=None))
    assert decode(encoded(scene(1, 900)), place="x", size=None, max_side=10).shape == (3, 1, 10)


def test_each_image_has_its_own_size(data: ImageData, folder: Path) -> None:
    assert data.image_size is None
    assert data.describe().endswith("24 train images of different sizes, 2 classes")
    files = sorted((folder / "train").rglob("*.jpg"))
    for index, path in enumerate(files):
        if index in CORRUPT:
            with pytest.raises(CorruptImageError, match=path.name):
                data.load(index)
        else:
            assert torch.equal(data.load(index), decode(path, place="x", size=None))
            assert data.sizes[index].tolist() == list(data.load(index).shape[1:])
    assert data.sizes.dtype == torch.int64 and len(data.sizes.unique(dim=0)) > 10
    assert data.sizes[CORRUPT[1]].tolist() == [0, 0]


def test_sizes_are_read_without_decoding(folder: Path) -> None:
    data = build(folder)
    index = CORRUPT[0]  # its header is whole
    assert data.sizes[index].tolist() == list(data.size(index)) != [0, 0]
    with pytest.raises(CorruptImageError):
        data.load(index)
    with pytest.raises(CorruptImageError):
        data.size(CORRUPT[1])
    assert ShapesConfig(train=8, size=32).build("train", Path()).size(3) == (32, 32)


def test_what_is_read_is_part_of_the_fingerprint(folder: Path) -> None:
    own, held = build(folder), build(folder, 2**30)
    assert own.fingerprint == held.fingerprint
    square = FolderConfig(path=folder, size=224, memory_limit=0).build("train", Path())
    others = {square.fingerprint, *(build(folder, max_side=m).fingerprint for m in (30, 31))}
    assert len({own.fingerprint, *others}) == 4


def test_a_set_is_held_in_memory_up_to_the_limit(folder: Path) -> None:
    whole = 3 * int(build(folder).sizes.prod(dim=1).sum())
    assert isinstance(build(folder, whole), InMemoryRagged)
    assert not isinstance(build(folder, whole - 1), InMemoryRagged)
    bounded = build(folder, whole - 1, max_side=30)
    assert isinstance(bounded, InMemoryRagged)
    assert int(bounded.sizes.max()) == 30


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_ragged(data: ImageData, workers: int) -> None:
    report = CorruptReport()
    found = run(data, workers=workers, report=report)
    assert [len(batch) for batch in found] == [6] * 4
    for batch in found:
        assert isinstance(batch.images, Ragged)
        assert batch.images.interleaved and batch.images.pixels.dtype == torch.uint8
        assert torch.equal(batch.labels, data.labels[batch.ids])
        for index, image in zip(batch.ids.tolist(), batch.images.images(), strict=True):
            assert torch.equal(image, data.load(index))
    assert sorted(report.errors) == sorted(CORRUPT)
    assert not set(CORRUPT) & {i for batch in found for i in batch.ids.tolist()}


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(data: ImageData, world_size: int, workers: int) -> None:
    whole = run(data)
    shards = [
        run(data, rank=rank, world_size=world_size, workers=workers) for rank in range(world_size)
    ]
    in_order = [shard[k] for k in range(len(whole)) for shard in shards]
    assert torch.cat([b.ids for b in in_order]).equal(torch.cat([b.ids for b in whole]))
    for found, expected in zip(pictures(in_order), pictures(whole), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_within_an_epoch(data: ImageData, workers: int) -> None:
    whole = run(data)
    for start in range(5):
        rest = run(data, start_batch=start, workers=workers)
        assert len(rest) == 4 - start
        for found, expected in zip(pictures(rest), pictures(whole[start:]), strict=True):
            assert torch.equal(found, expected)


def test_evaluation_counts_every_image_once(data: ImageData) -> None:
    found = run(data, batch_size=7, shuffle=False, drop_last=False)
    assert [i for b in found for i in b.ids.tolist()] == [i for i in range(24) if i not in CORRUPT]


def test_a_last_batch_may_be_empty(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "train" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(scene(20 + number, 30)) if number < 2 else b"")
    report = CorruptReport()
    data = build(tmp_path)
    found = run(data, batch_size=2, shuffle=False, drop_last=False, report=report)
    assert [len(batch) for batch in found] == [2, 0]
    assert found[1].images.shape == (0, 3, 1, 1)
    assert "2.jpg: it is empty" in report.describe()


def test_the_report_holds_nothing_of_batches_that_were_not_asked_for(folder: Path) -> None:
    data, report = build(folder), CorruptReport()
    options = {"batch_size": 6, "seed": 3, "epoch": 1, "shuffle": False, "workers": 2}
    iterator = batches(data, report=report, **options)
    next(iterator)
    assert sorted(report.errors) == [5]  # a later one, with 12, is being decoded
    iterator.close()


def test_parquet_files(tmp_path: Path) -> None:
    images = [encoded(scene(*size, k), "PNG") for k, size in enumerate(SIZES[:10])]
    rows: list[object] = [{"bytes": image, "path": None} for image in images]
    rows[4] = {"bytes": None, "path": None}
    table = pa.table({"image": rows, "label": list(range(10))})
    pq.write_table(table, tmp_path / "train-0.parquet", row_group_size=4)

    def built(**options: object) -> ImageData:
        config = ParquetConfig(path=tmp_path, memory_limit=0, **options)
        return config.build("train", Path())

    data = built(size="original")
    assert data.image_size is None
    expected = [list(size) for size in SIZES[:10]]
    expected[4] = [0, 0]
    assert data.sizes.tolist() == expected
    for index in (0, 9):
        picture = np.array(Image.open(io.BytesIO(images[index])))
        assert torch.equal(data.load(index), torch.from_numpy(picture).permute(2, 0, 1))
    with pytest.raises(CorruptImageError, match=r"row 4: its row holds no bytes"):
        data.load(4)
    found = run(data, batch_size=5, drop_last=False, shuffle=False)
    assert [batch.images.sizes.tolist() for batch in found] == [expected[:4], expected[5:]]
    bounded = built(size="original", max_side=30)
    assert int(bounded.sizes.max()) == 30
    assert bounded.load(0).shape[1:] == tuple(bounded.sizes[0].tolist())
    assert len({built(size=8).fingerprint, data.fingerprint, bounded.fingerprint}) == 3
    with pytest.raises(DataError, match=r"several sizes .*or to `original` to keep each in its ow"):
        [built().load(index) for index in range(3)]


@pytest.mark.parametrize("model", [FolderConfig, ParquetConfig])
def test_mistakes_in_the_config_are_named(model: type[FolderConfig | ParquetConfig]) -> None:
    for fields, message in {
        "size: orginal": r"an integer or 'original', got 'orginal' .*did you mean 'original'\?",
        "size: 0": "must be >= 1, got 0",
        "size: 64, max_side: 500": "needs `size: original`, got size 64",
        "max_side: 500": r"needs `size: original`, got (none|size 224)",
    }.items():
        with pytest.raises(SpecError, match=message):
            loads_model(model, f"{{path: x, {fields}}}")
    assert loads_model(model, "{path: x, size: original, max_side: 500}").max_side == 500


def test_views_must_bring_the_images_to_one_size(folder: Path, tmp_path: Path) -> None:
    plan = augspec.make_plan(augspec.loads(VIEWS))
    fixed = ("crop", "middle", "squeezed")
    require_one_size(build(folder), plan, fixed)
    for name, sizes in {"same": r"\d+x\d+ and \d+x\d+", "shorter": r"20x\d+ and \d+x20"}.items():
        message = rf"view '{name}' leaves them in different ones, such as {sizes}; .*`center_crop`"
        with pytest.raises(DataError, match=message):
            require_one_size(build(folder), plan, (*fixed, name))
    square = FolderConfig(path=folder, size=16, memory_limit=0).build("train", Path())
    require_one_size(square, plan, ("same", "shorter"))
    for number in range(3):  # in their original sizes, which happen to be one
        path = tmp_path / "train" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(scene(20, 30)) if number else b"corrupt")
    require_one_size(build(tmp_path), plan, ("same", "shorter"))


VIEWS = """
version: 1
name: sizes
views:
  same: {ops: [{op: horizontal_flip, p: 0.5}]}
  shorter: {ops: [{op: resize, size: 20}]}
  crop: {ops: [{op: horizontal_flip, p: 0.5}, {op: resized_crop, size: 16}]}
  middle: {ops: [{op: resize, size: 20}, {op: center_crop, size: 16}, {op: grayscale}]}
  squeezed: {ops: [{op: resize, size: [16, 16]}]}
"""
