"""Parquet files: CIFAR-10 as Hugging Face stores it, and files written here."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from equimod.data import CorruptImageError, DataError, InMemoryImages, ParquetConfig, batches
from equimod.data.parquet import ParquetImages


def png(shade: int, size: tuple[int, int] = (8, 8)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (shade, 2 * shade, 0)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, columns: dict[str, object], classes: dict[str, list[str]] | None = None):
    table = pa.table(columns)
    if classes is not None:
        features = {
            name: {"names": names, "_type": "ClassLabel"} for name, names in classes.items()
        }
        information = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": information})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)


def build(folder: Path, split: str = "train", **options: object):
    return ParquetConfig(path=folder, **options).build(split, Path("/nowhere"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in range(2):
        shades = range(10 * part, 10 * part + 10)
        columns = {
            "image": [{"bytes": png(shade), "path": None} for shade in shades],
            "fine_label": [shade % 5 for shade in shades],
            "coarse_label": [shade % 2 for shade in shades],
        }
        classes = {"fine_label": list("abcde"), "coarse_label": ["even", "odd"]}
        write(tmp_path / "data" / f"train-0000{part}-of-00002.parquet", columns, classes)
    return tmp_path


def test_cifar10(cifar10_folder: Path) -> None:
    data = build(cifar10_folder, "test")
    assert isinstance(data, InMemoryImages)
    assert data.images.shape == (10000, 3, 32, 32)
    assert data.describe() == "cifar10 parquet, 10,000 test images 32x32, 10 classes"
    assert data.classes["class"][:3] == ("airplane", "automobile", "bird")
    assert data.labels.flatten().bincount().tolist() == [1000] * 10
    assert not data.corrupt
    row = (
        pq.read_table(cifar10_folder / "test-00000-of-00001.parquet").slice(7777, 1).to_pylist()[0]
    )
    expected = np.array(Image.open(io.BytesIO(row["img"]["bytes"])).convert("RGB"))
    assert np.array_equal(data.images[7777].permute(1, 2, 0).numpy(), expected)
    assert data.labels[7777].item() == row["label"]


def test_row_groups_give_the_same_images(cifar10_folder: Path) -> None:
    lazy = build(cifar10_folder, "test", memory_limit=0)
    assert isinstance(lazy, ParquetImages)
    whole = build(cifar10_folder, "test")
    options = {"batch_size": 64, "seed": 1, "epoch": 2, "shuffle": False}
    pairs = zip(batches(lazy, workers=2, **options), batches(whole, **options), strict=True)
    for (found, expected), _ in zip(pairs, range(5), strict=False):
        assert torch.equal(found.images, expected.images)
        assert torch.equal(found.labels, expected.labels)
    assert torch.equal(lazy.load(9999), whole.images[9999])
    assert lazy.fingerprint == whole.fingerprint


def test_several_files_and_label_kinds(folder: Path) -> None:
    data = build(folder)
    assert data.images[:, 0, 0, 0].tolist() == list(range(20))
    assert data.classes == {"fine": tuple("abcde"), "coarse": ("even", "odd")}
    assert data.labels[:, 0].tolist() == [shade % 5 for shade in range(20)]
    assert data.labels[:, 1].tolist() == [shade % 2 for shade in range(20)]
    one = build(folder, label_columns=("coarse_label",))
    assert one.classes == {"coarse": ("even", "odd")}
    assert one.fingerprint != data.fingerprint
    lazy = build(folder, memory_limit=0)
    order = [19, 0, 13, 4, 3, 12, 7]
    assert [int(lazy.load(i)[0, 0, 0]) for i in order] == order


def test_size_resizes(folder: Path) -> None:
    assert build(folder, size=5).images.shape == (20, 3, 5, 5)


def test_plain_binary_and_missing_labels(tmp_path: Path) -> None:
    labels = pa.array([0, None, -7, 2], pa.int32())
    write(tmp_path / "train-0.parquet", {"img": [png(i) for i in range(4)], "label": labels})
    data = build(tmp_path)
    assert data.labels.flatten().tolist() == [0, -1, -1, 2]
    assert data.classes == {"class": ("0", "1", "2")}
    write(tmp_path / "test-0.parquet", {"img": [png(i) for i in range(4)]})
    unlabelled = build(tmp_path, "test")
    assert unlabelled.labels.flatten().tolist() == [-1] * 4
    assert unlabelled.classes == {"class": ()}


def test_other_names(tmp_path: Path) -> None:
    columns = {"picture": [png(i) for i in range(4)], "kind": [0, 1, 0, 1]}
    write(tmp_path / "validation.parquet", columns)
    data = build(
        tmp_path,
        "test",
        test="validation.parquet",
        image_column="picture",
        label_columns=("kind",),
    )
    assert data.labels.flatten().tolist() == [0, 1, 0, 1]
    assert data.label_names == ("kind",)


def test_corrupt_rows_are_named(tmp_path: Path) -> None:
    content = [png(1), b"broken", None, *[png(i) for i in range(3, 12)]]
    write(tmp_path / "train-0.parquet", {"img": pa.array(content, pa.binary())})
    data = build(tmp_path)
    assert sorted(data.corrupt) == [1, 2]
    with pytest.raises(CorruptImageError, match=r"train-0\.parquet, row 2: its row holds no bytes"):
        data.load(2)
    lazy = build(tmp_path, memory_limit=0)
    with pytest.raises(CorruptImageError, match="row 1: it is not an image"):
        lazy.load(1)
    assert lazy.load(9)[0, 0, 0] == 9


def test_clear_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent does not exist"):
        build(tmp_path / "absent")
    with pytest.raises(DataError, match=r"parquet is a file: give its folder"):
        build(folder / "data" / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match=r"matches '\*\*/test-.*'; its parquet files are data/"):
        build(folder, "test")
    with pytest.raises(DataError, match="'/x/train' is not a pattern of files inside"):
        build(folder, train="/x/train")
    with pytest.raises(DataError, match=r"'imagee'; did you mean 'image'\? \(columns: image"):
        build(folder, image_column="imagee")
    with pytest.raises(DataError, match="column 'fine_label' holds int64, not encoded images"):
        build(folder, image_column="fine_label")
    with pytest.raises(DataError, match="label column 'image' holds struct"):
        build(folder, label_columns=("image",))
    (tmp_path / "train-x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"train-x\.parquet is not a readable parquet file"):
        build(folder, train="train-x.parquet")


def test_errors_of_content(tmp_path: Path) -> None:
    images = [png(1), png(2), png(3, (9, 8))]
    write(tmp_path / "train-0.parquet", {"img": images})
    with pytest.raises(DataError, match=r"row 2 is 8x9, others are 8x8\); set `size`"):
        build(tmp_path)
    assert build(tmp_path, size=8).image_size == (8, 8)
    write(tmp_path / "test-0.parquet", {"img": images, "label": [0, 5, 1]}, {"label": ["a", "b"]})
    with pytest.raises(DataError, match="label 5 in column 'label', row 1, is out of range"):
        build(tmp_path, "test")
    write(tmp_path / "bad-0.parquet", {"img": [b"a", b"b"]})
    with pytest.raises(DataError, match="none of the first images could be decoded"):
        build(tmp_path, train="bad-0.parquet")
    write(tmp_path / "none-0.parquet", {"img": pa.array([], pa.binary())})
    with pytest.raises(DataError, match="could be decoded: there are none"):
        build(tmp_path, train="none-0.parquet")
    write(tmp_path / "test-1.parquet", {"img": images})
    with pytest.raises(DataError, match=r"test-1\.parquet has no column 'label'"):
        build(tmp_path, "test", size=8)
    write(tmp_path / "odd-0.parquet", {"x": [1]})
    with pytest.raises(DataError, match=r"no column `image` or `img`; set `image_column` \(x\)"):
        build(tmp_path, train="odd-0.parquet")
