"""What ops say of themselves, found once: they are frozen, and every draw asks several times."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from augspec.language.document import DocumentModel

_KEPT = "_kept"


class Keeping(DocumentModel):
    """A frozen model that keeps what some of its methods gave for the same arguments."""

    kept: ClassVar[tuple[str, ...]] = ()
    """The names of these methods; what they give must be immutable."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Wraps those of the methods that a subclass defines itself."""
        super().__pydantic_init_subclass__(**options)
        for name in cls.kept:
            if name in vars(cls):
                setattr(cls, name, _keeping(vars(cls)[name]))

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: the fields alone, for what is kept may hold functions."""
        state = super().__getstate__()
        fields = type(self).model_fields
        own = {name: value for name, value in self.__dict__.items() if name in fields}
        return {**state, "__dict__": own}


def _keeping(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, asked once for the same arguments."""

    @wraps(method)
    def asked(self: Keeping, *arguments: Any, **named: Any) -> Any:
        found = self.__dict__.get(_KEPT)
        if found is None:
            found = self.__dict__[_KEPT] = {}
        # the method itself is part of the key: a subclass's may call its parent's
        key = (method, arguments, *named.items())
        if key not in found:
            found[key] = method(self, *arguments, **named)
        return found[key]

    return asked
