"""Names that people bring along from other libraries, and what they are called here."""

from __future__ import annotations

from collections.abc import Collection

from augspec.language.diagnostics import form

_HABITS = {
    "prob": "p",
    "probability": "p",
    "ratio": "aspect",
    "scale": "area",
    "kernel_size": "kernel",
    "transforms": "ops",
    "augmentations": "ops",
    "type": "op",
    "name": "op",
    "transform": "op",
    "compose": "sequence",
    "random_apply": "maybe",
    "random_choice": "one_of",
    "choice": "one_of",
    "inherit": "extends",
    "base": "extends",
}
"""By the name in its plainest form. Most are torchvision's; a name is only suggested where it is
allowed, so `scale` leads to `area` in a crop and nowhere else."""

_BY_FORM = {form(name): here for name, here in _HABITS.items()}


def habitual(name: str, allowed: Collection[str]) -> str | None:
    """The allowed name of what other libraries call `name`, or None."""
    here = _BY_FORM.get(form(name))
    return here if here in allowed else None
