"""`augspec migrate`: specs of earlier versions of the language in the words of this one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from augspec.cli.common import Flag, mistake
from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.language.files import write_atomically
from augspec.language.versions import migrate as migrated


def migrate(*files: Path, write: Flag = False) -> int:
    """Bring specs of earlier versions of the language to this one; comments stay.

    Args:
        files: the specs.
        write: write the files anew, instead of printing what would change as a unified diff. A
            mistake in any of them leaves all as they are.
    """
    mistakes: list[Diagnostic] = []
    texts: dict[Path, tuple[str, str]] = {}
    for file in files:
        try:
            text = _read(file)
            texts[file] = text, migrated(text, str(file))
        except SpecError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise SpecError(*mistakes)
    if not files:
        raise mistake("no files to migrate")
    for file, (old, new) in texts.items():
        if not write:
            print("".join(_difference(file, old, new)), end="")
        elif old != new:
            write_atomically(file, new)
            print(f"{file}: migrated")
        else:
            print(f"{file}: as it was")
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")  # line ends stay as they are
    except OSError as error:
        raise SpecError(Diagnostic(None, f"cannot read {file}: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise SpecError(Diagnostic(None, f"{file} is not UTF-8")) from None


def _difference(file: Path, old: str, new: str) -> Iterator[str]:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for line in difflib.unified_diff(before, after, str(file), f"{file} (migrated)"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
