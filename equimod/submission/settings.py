"""The settings of finished runs: which numbers may stand in one mean, and which arm is a base."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import augspec
from equimod.records import DOCUMENT, SPEC

Settings = Mapping[str, dict[str, Any]]
"""The complete settings of each arm, the augmentation spec included, less what seeds and names
are."""

APART = ("name", "description", "seed")
"""Fields that may differ between runs whose numbers go into one mean."""

CHOICES = ("name", "source")
"""Fields whose value decides which other fields stand beside them."""

_SEED = re.compile(r"^seed: *(\d+) *$", re.MULTILINE)
_SEGMENT = re.compile(r'"([^"]*)"|([^."]+)')


class SettingsError(ValueError):
    """Runs that cannot stand in one table, or whose documents cannot be read."""


def read_settings(folder: Path) -> tuple[int, Settings]:
    """The seed of a run and the settings of its arms.

    Args:
        folder: the run's.

    Raises:
        SettingsError: its documents are missing or damaged.
    """
    try:
        document = (folder / DOCUMENT).read_text(encoding="utf-8")
        spec = (folder / SPEC).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{folder}: its settings cannot be read: {error}") from None
    seed = _SEED.search(document)
    try:
        # runs differ in little else: most are parsed once
        settings = _settings(_SEED.sub("seed: 0", document, count=1), spec)
    except (augspec.SpecError, AttributeError, KeyError, TypeError) as error:
        message = f"{folder / DOCUMENT} or {SPEC} is damaged: {error}"
        raise SettingsError(message) from None
    if seed is None:
        raise SettingsError(f"{folder / DOCUMENT} is damaged: it has no seed")
    return int(seed[1]), settings


@lru_cache
def _settings(document: str, spec: str) -> Settings:
    run = augspec.parse_source(document, DOCUMENT).data
    views = {"augmentations": augspec.parse_source(spec, SPEC).data}
    arms = run.pop("arms")
    complete = {arm: {**run, **(own or {}), **views} for arm, own in arms.items()}
    return {arm: {k: v for k, v in c.items() if k not in APART} for arm, c in complete.items()}


def require_alike(
    first: Settings, here: Path, other: Settings, there: Path, *, swept: Sequence[str] | None
) -> None:
    """Checks that two runs differ in what they may differ in alone.

    Args:
        first: settings of one run.
        here: its folder.
        other: settings of another.
        there: its folder.
        swept: the paths in which they may differ; None at the same point of a sweep, where they may
            in none, and have the same arms.

    Raises:
        SettingsError: they differ in something else.
    """
    if first is other:
        return
    if swept is None and first.keys() != other.keys():
        _refuse(here, there, [f"the arms: {', '.join(other)} there, {', '.join(first)} here"])
    for arm in (arm for arm in first if arm in other):
        own, its = (_less(settings[arm], arm, swept or ()) for settings in (first, other))
        if own != its:
            _require_equal_numbers(own, here, its, there, f"arm {arm}: ")


def _require_equal_numbers(
    own: dict[str, Any], here: Path, its: dict[str, Any], there: Path, prefix: str
) -> None:
    """That what differs leaves the numbers alone."""
    # only now, since they bring torch along
    from equimod.training.checkpoint import differences
    from equimod.training.origin import INDIFFERENT_TRAINING

    for field in INDIFFERENT_TRAINING:
        for settings in (own, its):
            if isinstance(settings["training"], dict):
                settings["training"] = {**settings["training"]}
                settings["training"].pop(field, None)
    if changed := differences(own, its, prefix):
        _refuse(here, there, changed)


def _refuse(here: Path, there: Path, changed: Iterable[str]) -> None:
    listed = "\n  ".join(changed)
    message = f"{there} (there) and {here} (here) differ in more than seed and sweep"
    raise SettingsError(f"{message}, and cannot stand in one table:\n  {listed}")


def _less(settings: dict[str, Any], arm: str, swept: Sequence[str]) -> dict[str, Any]:
    """An arm's settings without the values of the sweep."""
    for path in swept:
        segments = [quoted or bare.strip() for quoted, bare in _SEGMENT.findall(path)]
        if segments[0] == "arms":
            if segments[1:2] not in ([], [arm]):
                continue
            segments = segments[2:]
        if not segments:
            return {}
        # names within a spec lead through lists, and may lead to what is written out otherwise
        segments = segments[:1] if segments[0] == "augmentations" else segments
        settings = _blank(settings, segments)
    return settings


def _blank(data: dict[str, Any], segments: Sequence[str]) -> dict[str, Any]:
    head, rest = segments[0], segments[1:]
    inner = data.get(head)
    if rest and rest[0] not in CHOICES and isinstance(inner, dict):
        return {**data, head: _blank(inner, rest)}
    return {**data, head: None}


def bases(settings: Settings) -> dict[str, str]:
    """For the arms that join EquiMod to another arm, that arm; for what is neither, the first."""
    found: dict[str, str] = {}
    for arm, own in settings.items():
        for other, its in settings.items():
            if own["equimod"] and not its["equimod"] and {**own, "equimod": None} == its:
                found.setdefault(arm, other)
    first = next(iter(settings))
    lone = [arm for arm in settings if arm != first and arm not in {*found, *found.values()}]
    return {arm: found.get(arm, first) for arm in settings if arm in found or arm in lone}
