"""Finds every format in this package: a module that defines a subclass of `Format` with a name."""

from __future__ import annotations

import importlib
import pkgutil

import augspec.formats as package
from augspec.formats.contract import Format, FormatError
from augspec.language.diagnostics import meant

USERS = ("encode", "moments", "registry")
"""Modules of this package that use the registry, and so cannot be searched for formats."""


def _discover() -> dict[str, Format]:
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in USERS:
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for item in vars(module).values():
            own = isinstance(item, type) and issubclass(item, Format) and "name" in vars(item)
            if own and item.__module__ == module.__name__:
                if item.name in found:
                    raise TypeError(f"two formats have the name {item.name!r}")
                found[item.name] = item()
    return dict(sorted(found.items()))


FORMATS: dict[str, Format] = _discover()
"""Every format, with the options of its publication, by its name, in alphabetical order."""


def named(form: str | Format) -> Format:
    """The format of this name; one with other options is taken as it is.

    Raises:
        FormatError: no format has this name.
    """
    if isinstance(form, Format):
        return form
    if form in FORMATS:
        return FORMATS[form]
    hint = meant(form, FORMATS)
    raise FormatError(f"unknown format {form!r}{hint} (formats: {', '.join(FORMATS)})")
