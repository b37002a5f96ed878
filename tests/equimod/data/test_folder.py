"""Image folders: three layouts, what is left out, and clear errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from equimod.data import CorruptImageError, DataError, FolderConfig, InMemoryImages
from equimod.data.listing import is_held_out


def draw(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (shade, 100, 50)).save(path)
    return path


@pytest.fixture
def classed(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for number in range(20):
        draw(root / "cat" / f"{number}.png", number)
        draw(root / "dog" / "deeper" / f"{number}.PNG", 100 + number)
    return root


@pytest.fixture
def split(tmp_path: Path) -> Path:
    root = tmp_path / "birds"
    for name in ("wren", "robin", "jay"):
        for number in range(3):
            draw(root / "train" / name / f"{number}.png", number)
    draw(root / "val" / "wren" / "0.png", 7)
    return root


def build(root: Path, which: str = "train", **options: object):
    return FolderConfig(path=root, **{"size": 8, **options}).build(which, Path("/nowhere"))


def test_train_and_val_folders(split: Path) -> None:
    train, test = build(split), build(split, "test")
    assert train.classes == test.classes == {"class": ("jay", "robin", "wren")}
    assert train.labels.flatten().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert test.labels.tolist() == [[2]]
    assert test.load(0)[0].unique().tolist() == [7]
    assert train.describe() == "folder birds, 9 train images 8x8, 3 classes"


def test_held_out_files_are_a_partition_that_new_files_do_not_change(classed: Path) -> None:
    def names(which: str) -> set[Path]:
        return set(build(classed, which, held_out=0.3, memory_limit=0).files)

    train, test = names("train"), names("test")
    assert len(train) + len(test) == 40
    assert not train & test
    assert 4 <= len(test) <= 20
    new = draw(classed / "cat" / "new.png")
    assert names("train") - {new} == train
    assert names("test") - {new} == test


@given(name=st.text(min_size=1), low=st.floats(0, 1), high=st.floats(0, 1))
def test_held_out_grows_with_the_fraction(name: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    path = Path(name.replace("\0", "x"))
    assert is_held_out(path, low) <= is_held_out(path, high)


def test_flat_folder_of_photographs(photos: list[Path], tmp_path: Path) -> None:
    for path in photos[:24]:
        shutil.copy(path, tmp_path)
    options = {"size": 32, "held_out": 0.4}
    train, test = build(tmp_path, **options), build(tmp_path, "test", **options)
    assert len(train) + len(test) == 24
    assert (train.labels == -1).all()
    assert train.classes == {"class": ()}
    assert train.image_size == (32, 32)
    assert "no labels" in train.describe()
    assert isinstance(train, InMemoryImages)
    lazy = build(tmp_path, memory_limit=0, **options)
    assert not isinstance(lazy, InMemoryImages)
    assert torch.equal(train.images, torch.stack([lazy.load(i) for i in range(len(lazy))]))
    assert lazy.fingerprint == train.fingerprint != test.fingerprint


def test_hidden_files_other_files_and_loops_are_left_out(classed: Path) -> None:
    before = build(classed).fingerprint
    draw(classed / ".hidden" / "1.png")
    draw(classed / "cat" / ".thumb.png")
    (classed / "cat" / "notes.txt").write_text("no image")
    (classed / "cat" / "dangling.png").symlink_to(classed / "gone.png")
    (classed / "empty").mkdir()
    (classed / "cat" / "loop").symlink_to(classed)
    (classed / "dog" / "self").symlink_to(classed / "dog")
    assert build(classed).fingerprint == before


def test_links_to_folders_elsewhere_are_followed(split: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "train").symlink_to(split / "train")
    (linked / "test").symlink_to(split / "val")
    assert len(build(linked)) == 9
    assert len(build(linked, "test")) == 1


def test_fingerprint_follows_the_content(classed: Path) -> None:
    before = build(classed).fingerprint
    assert build(classed).fingerprint == before
    assert build(classed, size=9).fingerprint != before
    draw(classed / "cat" / "more-1.png")
    draw(classed / "cat" / "more-2.png")
    assert build(classed).fingerprint != before


def test_corrupt_images_are_named(classed: Path) -> None:
    for number in range(20):
        (classed / "cat" / f"{number}.png").write_bytes(b"\x89PNG broken")
    data = build(classed)
    assert isinstance(data, InMemoryImages)
    assert sorted(data.corrupt) == data.ids[data.labels[:, 0] == 0].tolist()
    with pytest.raises(CorruptImageError, match=r"cat/\d+\.png: it is not an image"):
        data.load(0)
    shutil.rmtree(classed / "dog")
    with pytest.raises(DataError, match=r"folder pets: no image could be decoded; .*cat/"):
        build(classed)


def test_relative_paths_start_at_the_document(split: Path) -> None:
    data = FolderConfig(path=Path("birds"), size=8).build("train", split.parent)
    assert len(data) == 9


def test_clear_errors(classed: Path, split: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"petz does not exist; did you mean 'pets'\?"):
        build(tmp_path / "petz")
    with pytest.raises(DataError, match=r"0\.png is not a folder"):
        build(classed / "cat" / "0.png")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none holds no images"):
        build(tmp_path / "none")
    with pytest.raises(DataError, match="leaves none for the test split; change `held_out`"):
        build(classed, "test", held_out=1e-9)
    (split / "val" / "wren").rename(split / "val" / "wrem")
    with pytest.raises(DataError, match=r"val/wrem is not in 'train'; did you mean 'wren'\?"):
        build(split, "test")
    shutil.rmtree(split / "val")
    with pytest.raises(DataError, match="none of 'test', 'val', 'validation'"):
        build(split, "test")
    assert len(build(split)) == 9
    draw(split / "test" / "1.png")
    with pytest.raises(DataError, match="has class folders, the other has none"):
        build(split, "test")
    draw(classed / "loose.png")
    with pytest.raises(DataError, match=r"both images \(loose.png, ...\) and folders .*\(cat, "):
        build(classed)
