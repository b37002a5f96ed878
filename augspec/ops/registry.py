"""Finds every op in this package: a module that defines a subclass of `Op` with a tag is an op."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Annotated, Any, Union

from pydantic import Field

import augspec.ops as package
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op


def _discover() -> dict[str, type[Op]]:
    found: dict[str, type[Op]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for item in vars(module).values():
            own = isinstance(item, type) and issubclass(item, Op) and "op" in item.model_fields
            if own and item.__module__ == module.__name__:
                if item.tag() in found:
                    raise TypeError(f"two ops have the tag {item.tag()!r}")
                found[item.tag()] = item
    return dict(sorted(found.items()))


OPS: dict[str, type[Op]] = _discover()
"""Every op by its tag, in alphabetical order."""

AnyOp: Any = Annotated[Union[tuple(OPS.values())], Field(discriminator="op")]  # noqa: UP007
"""The type of one entry of a view's `ops`: the op that its `op` field names."""

for _op in OPS.values():
    if issubclass(_op, Combinator):  # their ops are any ops, which are known only now
        _op.model_rebuild(_types_namespace={"AnyOp": AnyOp})
