"""The version of a document, which is looked at before anything else in it."""

from __future__ import annotations

from typing import Any, NoReturn

from augspec.language.diagnostics import SpecError, nearest
from augspec.language.source import Source

KEY = "version"


def check_version(source: Source, current: int) -> None:
    """Refuses a document, a mapping, of any other version than `current`.

    Raises:
        SpecError: it has no version, none that is an integer, a newer or an older one; one mistake.
    """
    data: dict[str, Any] = source.data
    if KEY not in data:
        guess = nearest(KEY, data)
        if guess is None:
            _fail(source, (), f"missing required field 'version': write `version: {current}`")
        message = f"missing required field 'version'; did you mean 'version' by {guess!r}?"
        _fail(source, (guess,), message, key=True)
    version = data[KEY]
    if type(version) is not int:
        message = f"the version must be an integer, such as `version: {current}`, got {version!r}"
        _fail(source, (KEY,), message)
    file = source.at((KEY,)).file
    if version > current:
        message = f"this spec is version {version}; this augspec reads version {current}: "
        _fail(source, (KEY,), message + "update augspec")
    if version < 0:
        _fail(source, (KEY,), f"there is no version {version}: write `version: {current}`")
    if version < current:
        _fail(source, (KEY,), f"version {version}: run `augspec migrate {file}`")


def _fail(source: Source, path: tuple[str, ...], message: str, *, key: bool = False) -> NoReturn:
    raise SpecError(source.diagnostic(path, message, key=key))
