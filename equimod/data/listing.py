"""Finding the image files of a folder: its layout, its classes, the files that are held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from augspec import nearest
from equimod.data.base import DataError, Split
from equimod.data.decode import readable_extensions

TEST_FOLDERS = ("test", "val", "validation")


@dataclass(frozen=True)
class Listing:
    """The image files of one split.

    Attributes:
        files: sorted by class and name.
        labels: the class of each file; None where there are no classes.
        classes: sorted names; empty where there are no classes.
    """

    files: tuple[Path, ...]
    labels: tuple[int | None, ...]
    classes: tuple[str, ...]


def list_split(root: Path, split: Split, held_out: float) -> Listing:
    """Lists the images of one split of a folder, whichever layout it has.

    Hidden files and folders, files that are not images and dangling links are left out. Links to
    folders are followed, and a link to a folder that it lies in is not entered again.

    Args:
        root: the folder.
        split: `"train"` or `"test"`.
        held_out: the fraction that is the test split if the folder has no `train` folder.

    Raises:
        DataError: no such folder, no images, or no clear layout.
    """
    if not root.is_dir():
        close = nearest(root.name, _folder_names(root.parent))
        hint = f"; did you mean '{close}'?" if close else ""
        raise DataError(f"{root} {'is not a folder' if root.exists() else 'does not exist'}{hint}")
    if (root / "train").is_dir():
        return _split_folder(root, split)
    listing = _list(root)
    chosen = [
        (path, label)
        for path, label in zip(listing.files, listing.labels, strict=True)
        if is_held_out(path.relative_to(root), held_out) == (split == "test")
    ]
    if not chosen:
        raise DataError(
            f"holding out a fraction of {held_out} of the {len(listing.files)} images of {root} "
            f"leaves none for the {split} split; change `held_out` or make folders 'train' and "
            f"'test'"
        )
    files, labels = zip(*chosen, strict=True)
    return Listing(files, labels, listing.classes)


def is_held_out(relative: Path, fraction: float) -> bool:
    """Decides from a file's relative path alone whether it belongs to the test split."""
    digest = hashlib.sha256(relative.as_posix().encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _split_folder(root: Path, split: Split) -> Listing:
    train = _list(root / "train")
    if split == "train":
        return train
    name = next((name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    if name is None:
        raise DataError(
            f"{root} has a folder 'train' but none of {', '.join(map(repr, TEST_FOLDERS))}; make "
            f"one, or set `path` to the 'train' folder to hold out a fraction of it"
        )
    test = _list(root / name)
    if bool(train.classes) != bool(test.classes):
        raise DataError(
            f"one of {root / 'train'} and {root / name} has class folders, the other has none"
        )
    for unknown in test.classes:
        if unknown not in train.classes:
            close = nearest(unknown, train.classes)
            hint = f"; did you mean '{close}'?" if close else ""
            raise DataError(f"the class folder {root / name / unknown} is not in 'train'{hint}")
    labels = tuple(
        None if label is None else train.classes.index(test.classes[label]) for label in test.labels
    )
    return Listing(test.files, labels, train.classes)


def _list(folder: Path) -> Listing:
    extensions = readable_extensions()
    classes: dict[str, list[Path]] = {}
    loose: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            found = list(_walk(entry, extensions, (_identity(folder),)))
            if found:
                classes[entry.name] = found
        elif entry.is_file() and entry.suffix.lower() in extensions:
            loose.append(entry)
    if classes and loose:
        raise DataError(
            f"{folder} holds both images ({loose[0].name}, ...) and folders of images "
            f"({next(iter(classes))}, ...), so it is not clear whether the folders are classes; "
            f"move one or the other away"
        )
    if not classes and not loose:
        raise DataError(f"{folder} holds no images (of the extensions {_some(extensions)} ...)")
    files = tuple(loose) or tuple(path for found in classes.values() for path in found)
    labels = [index for index, found in enumerate(classes.values()) for _ in found]
    return Listing(files, tuple(labels) or (None,) * len(loose), tuple(classes))


def _walk(
    folder: Path, extensions: frozenset[str], above: tuple[tuple[int, int], ...]
) -> Iterator[Path]:
    identity = _identity(folder)
    if identity in above:
        return  # a link to a folder that it lies in
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(entry, extensions, (*above, identity))
        elif entry.is_file() and entry.suffix.lower() in extensions:
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _folder_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _some(extensions: frozenset[str]) -> str:
    return ", ".join(sorted(extensions & {".jpg", ".png", ".webp", ".tif", ".bmp", ".gif"}))
