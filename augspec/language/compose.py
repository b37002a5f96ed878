"""From a document as it is written to the one that is checked: `extends`, `--set` and `let`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from augspec.language.extends import extended, refuse_late
from augspec.language.let import substituted
from augspec.language.resolve import override
from augspec.language.source import Source
from augspec.language.versions.check import check_version


def composed(
    source: Source,
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    version: int | None = None,
    allow_outside: bool = False,
) -> Source:
    """The document in full: laid over what it extends, assignments made, names replaced.

    The version comes first, since nothing else in a document of another version can be trusted to
    mean what it says. Assignments come before names, so that `let.strength=0.5` works.

    Args:
        source: the document as it is written.
        path: its file; None for text without one.
        overrides: assignments (see `resolve.override`).
        version: the version that it and all that it extends must have; None if that is free.
        allow_outside: whether it may extend files outside its own folder and what is below.

    Raises:
        SpecError: any of these steps finds mistakes; those of one step at once.
    """
    if isinstance(source.data, dict):
        if version is not None:
            check_version(source, version)
        source = extended(source, path, version, allow_outside=allow_outside)
    if overrides:
        source = override(source, overrides)
        refuse_late(source)
    return substituted(source)
