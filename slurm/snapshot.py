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
from pathlib import Path

from slurm.files import sync, write_atomically

RECORD, CHANGES = "snapshot.json", "changes.diff"
"""What lies beside the packages: where they come from, and how that differs from a commit."""
LEFT_OUT = ("*.pyc", "*.pyo", "*.tmp", ".*")
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
        commit: of the checkout it was copied from, with `+` where files differ from it; None for
            installed packages.
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
        SnapshotError: `into` exists, or a package cannot be found.
        OSError: a file cannot be read, or the copy not be written.
    """
    if into.exists():
        raise SnapshotError(f"{into} exists already")
    sources = {name: _folder(name) for name in packages} | dict(extra or {})
    temporary = into.with_name(f".{into.name}.{os.getpid()}.tmp")
    try:
        for place, source in sources.items():
            # copy2 keeps times, by which numba knows whether its cache is of this very source
            shutil.copytree(
                source, temporary / place, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=False
            )
        name = _hash(temporary)
        commit, changes = _origin(sources[packages[0]])
        (temporary / CHANGES).write_text(changes, encoding="utf-8")
        record = {"hash": name, "commit": commit, "packages": list(packages)}
        write_atomically(temporary / RECORD, json.dumps(record, indent=2) + "\n")
        temporary.rename(into)
        sync(into.parent)
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
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in inside and path.name not in (RECORD, CHANGES):
            yield path


def _origin(source: Path) -> tuple[str | None, str]:
    """The commit of a checkout and what differs from it; neither for what no commit holds."""
    tracked = _git(source, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(source, "rev-parse", "HEAD")
    if tracked is None or commit is None:
        return None, ""
    state = _git(source, "status", "--porcelain") or ""
    if not state.strip():
        return commit.strip(), ""
    changes = _git(source, "diff", "HEAD") or ""
    if len(changes) > LARGEST_DIFF:
        changes = changes[:LARGEST_DIFF] + "\n(cut off)\n"
    return commit.strip() + "+", f"{state}\n{changes}"


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
