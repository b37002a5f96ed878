"""CIFAR and STL-10: small files in their formats, read through torchvision's own classes."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100, STL10

from equimod.data import CIFAR10Config, DataError, ShapesConfig, STL10Config
from equimod.data.torchvision_sets import read_cifar, read_stl10

SHAPES = ShapesConfig(train=60, test=20)
NAMES = tuple(f"class {number}" for number in range(8))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def save(path: Path, content: object) -> str:
    """Writes one file as CIFAR's archive holds it (a pickle) and returns its MD5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return md5(path)


@pytest.fixture
def cifar(tmp_path: Path) -> type[CIFAR10]:
    """A small set in CIFAR-10's format in `tmp_path / "small"`."""
    folder = tmp_path / "small"
    train, test = SHAPES.build("train", tmp_path), SHAPES.build("test", tmp_path)

    def batch(data: torch.Tensor, labels: torch.Tensor) -> dict[str, object]:
        return {"data": data.flatten(1).numpy(), "labels": labels[:, 0].tolist()}

    class Small(CIFAR10):
        base_folder = "small"
        train_list: ClassVar = [
            ["one", save(folder / "one", batch(train.images[:40], train.labels[:40]))],
            ["two", save(folder / "two", batch(train.images[40:], train.labels[40:]))],
        ]
        test_list: ClassVar = [["three", save(folder / "three", batch(test.images, test.labels))]]
        meta: ClassVar = {
            "filename": "meta",
            "key": "label_names",
            "md5": save(folder / "meta", {"label_names": list(NAMES)}),
        }

    return Small


@pytest.fixture
def stl(tmp_path: Path) -> type[STL10]:
    """A small set in STL-10's format in `tmp_path / "stl10_binary"`."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = ShapesConfig(train=9, size=96).build("train", tmp_path).images
    by_column = images.transpose(2, 3).numpy()
    by_column[:4].tofile(folder / "train_X.bin")
    by_column[4:7].tofile(folder / "unlabeled_X.bin")
    by_column[7:].tofile(folder / "test_X.bin")
    np.array([1, 2, 8, 3], np.uint8).tofile(folder / "train_y.bin")
    np.array([8, 1], np.uint8).tofile(folder / "test_y.bin")
    (folder / "class_names.txt").write_text("\n".join(NAMES))
    sums = {path.name: md5(path) for path in folder.glob("*.bin")}

    class Small(STL10):
        train_list: ClassVar = [
            [name, sums[name]] for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")
        ]
        test_list: ClassVar = [[name, sums[name]] for name in ("test_X.bin", "test_y.bin")]

    return Small


def test_cifar_format(cifar: type[CIFAR10], tmp_path: Path) -> None:
    for split in ("train", "test"):
        found = read_cifar(cifar, "Small", tmp_path, split, download=False)
        expected = SHAPES.build(split, tmp_path)
        assert torch.equal(found.images, expected.images)
        assert torch.equal(found.labels, expected.labels[:, :1])
        assert found.classes == {"class": NAMES}
        assert found.images.is_contiguous()
    assert found.describe() == "Small, 20 test images 32x32, 8 classes"


def test_damaged_files_are_refused(cifar: type[CIFAR10], tmp_path: Path) -> None:
    path = tmp_path / "small" / "two"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"Small is not in .*/small, or its files are damaged"):
        read_cifar(cifar, "Small", tmp_path, "train", download=False)


def test_stl10_format(stl: type[STL10], tmp_path: Path) -> None:
    images = ShapesConfig(train=9, size=96).build("train", tmp_path).images
    train = read_stl10(stl, tmp_path, "train", unlabeled=False, download=False)
    assert torch.equal(train.images, images[:4])
    assert train.labels.flatten().tolist() == [0, 1, 7, 2]
    whole = read_stl10(stl, tmp_path, "train", unlabeled=True, download=False)
    assert torch.equal(whole.images, images[:7])
    assert whole.labels.flatten().tolist() == [0, 1, 7, 2, -1, -1, -1]
    for unlabeled in (True, False):
        test = read_stl10(stl, tmp_path, "test", unlabeled=unlabeled, download=False)
        assert torch.equal(test.images, images[7:])
        assert test.labels.flatten().tolist() == [7, 0]


@pytest.mark.parametrize("config", [CIFAR10Config, STL10Config])
def test_absent_without_download(config: type, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not in .*/here/.*set `download: true`"):
        config(root=Path("here"), download=False).build("train", tmp_path)
    assert not (tmp_path / "here").exists()


def test_a_download_that_fails_says_what_to_do(tmp_path: Path) -> None:
    class Unreachable(CIFAR100):
        url = (tmp_path / "no such archive.tar.gz").as_uri()

    with pytest.raises(DataError, match=r"and cannot be downloaded .*set `root` to"):
        read_cifar(Unreachable, "CIFAR", tmp_path, "train", download=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server of the files in `tmp_path`."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_download_is_unpacked_once(cifar: type[CIFAR10], server: str, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "archive"), "gztar", tmp_path, "small"))
    shutil.rmtree(tmp_path / "small")

    class Downloaded(cifar):
        url = f"{server}/{archive.name}"
        filename = "downloaded.tar.gz"
        tgz_md5 = md5(archive)

    root = tmp_path / "elsewhere"
    found = read_cifar(Downloaded, "Small", root, "test", download=True)
    archive.unlink()
    again = read_cifar(Downloaded, "Small", root, "test", download=True)
    assert torch.equal(found.images, again.images)
    assert found.fingerprint == again.fingerprint
