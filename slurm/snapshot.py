"""A copy of the code as it was submitted, so that later edits do not reach jobs that wait.

With `PYTHONPATH` naming the copy and `PYTHONSAFEPATH` set, Python runs it instead of a checkout or
of installed packages.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from slurm.files import sync, write_atomically

RECORD, CHANGES = "snapshot.json", "changes.diff"
"""What lies beside the packages: where they come from, and how that differs from a commit."""
LEFT_OUT = ("*.pyc*", "*.pyo", "*.tmp", "*.tmp.*", ".*")
"""What is not copied, and not looked at in a copy: what running code leaves behind, or is just
writing."""
LARGEST_DIFF = 4 * 2**20
"""Bytes of a diff that are kept."""


class SnapshotError(ValueError):
    """Code that cannot be copied, or a copy that is no longer what it was."""


@dataclass(frozen=True)
class Snapshot:
    """A copy of packages.

    Attributes:
        folder: where it is.
        hash: of the names and contents of all files.
        commit: of the checkout it was copied from, with `+` where the copied files differ from it;
            None where they do not all lie in one checkout, as installed packages do not.
    """

    folder: Path
    hash: str
    commit: str | None


def take(packages: Sequence[str], into: Path, extra: Mapping[str, Path] | None = None) -> Snapshot:
    """Copies packages with all their files.

    Args:
        packages: names of packages that can be imported.
        into: the folder of the copy, which must not exist; it is there when it is complete.
        extra: more folders by their place in the copy, such as data that lies beside a package.

    Raises:
        SnapshotError: `into` exists, or a package cannot be found or copied.
        OSError: the folder of the copy cannot be written to.
    """
    if into.exists():
        raise SnapshotError(f"{into} exists already")
    sources = {name: _folder(name) for name in packages} | dict(extra or {})
    temporary = into.with_name(f".{into.name}.{os.getpid()}.tmp")
    try:
        for place, source in sources.items():
            # numba's cache comes along, so that jobs need not compile anew; some of its releases
            # know by the time of a file, which is kept, whether the cache is of this very source
            shutil.copytree(source, temporary / place, ignore=shutil.ignore_patterns(*LEFT_OUT))
        name = _hash(temporary)
        commit, changes = _origin(list(sources.values()))
        (temporary / CHANGES).write_text(changes, encoding="utf-8")
        record = {"hash": name, "commit": commit, "packages": list(packages)}
        write_atomically(temporary / RECORD, json.dumps(record, indent=2) + "\n")
        temporary.rename(into)
        sync(into.parent)
    except shutil.Error as error:
        _, _, why = error.args[0][0]  # the first of many, which mostly have one cause
        raise SnapshotError(f"the code cannot be copied: {why}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Snapshot(into, name, commit)


def verify(folder: Path, expected: str) -> None:
    """Checks that a copy is still what it was.

    Raises:
        SnapshotError: it is not, or is no longer there.
    """
    if not (folder / RECORD).is_file():
        raise SnapshotError(f"the copy of the code that was submitted is gone: no {folder}")
    if _hash(folder) != expected:
        raise SnapshotError(
            f"the copy of the code that was submitted has been changed: {folder}; "
            "submit anew into another folder"
        )


def _folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise SnapshotError(f"there is no package {name!r} to copy")
    return Path(next(iter(found.submodule_search_locations)))


def _hash(folder: Path) -> str:
    """Of all files but those that are made when the copy is run, and the record itself."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    beside = (folder / RECORD, folder / CHANGES)
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        made = any(fnmatch(part, pattern) for part in inside for pattern in LEFT_OUT)
        if path.is_file() and not made and "__pycache__" not in inside and path not in beside:
            yield path


def _origin(folders: Sequence[Path]) -> tuple[str | None, str]:
    """The commit of a checkout and how folders in it differ from it; neither outside of one."""
    paths = [folder.resolve() for folder in folders]
    # installed into a folder of somebody's own checkout, the code is not what that commit holds
    tracked = _git(paths[0], "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(paths[0], "rev-parse", "HEAD")
    state = _git(paths[0], "status", "--porcelain", "--untracked-files=all", "--", *paths)
    if tracked is None or commit is None or state is None:  # git refuses paths outside of its own
        return None, ""
    if not state:
        return commit, ""
    changes = _git(paths[0], "diff", "--no-ext-diff", "--no-color", "HEAD", "--", *paths) or ""
    return f"{commit}+", f"{state}\n\n{changes}\n"


def _git(folder: Path, *words: str | Path) -> str | None:
    """What git says, not more than is kept of a diff; None where it fails or is not there."""
    command = ["git", "-C", folder, "--no-optional-locks", *words]
    try:
        said = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    kept = said[:LARGEST_DIFF].decode("utf-8", "replace").rstrip("\n")
    return kept if len(said) <= LARGEST_DIFF else f"{kept}\n(cut off)"
