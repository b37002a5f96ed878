"""Plain data as one line of YAML, in the style in which specs are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_STRINGS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
"""Words that some version of YAML reads as something else."""

_WIDTH = 100


def flow(value: Any, digits: int | None = None) -> str:
    """The value as a line of YAML, such as `{op: solarize, threshold: [0.2, 0.8]}`.

    Args:
        value: mappings with string keys, lists, strings, numbers, truth values and None.
        digits: significant digits of numbers that are not whole, for people; None for all of them.
    """
    if isinstance(value, dict):
        items = (f"{flow(key)}: {flow(item, digits)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item, digits) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:g}" if digits is None and value.is_integer() else _number(value, digits)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_STRINGS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def block(document: dict[str, Any]) -> str:
    """A document as YAML: a line for each field, and one for each op of each view.

    What is short stands on one line, as people write it.
    """
    return "".join(f"{line}\n" for line in _fields(document, 0))


def _fields(document: dict[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in document.items():
        line = f"{indent}{flow(key)}: {flow(value)}"
        if isinstance(value, dict) and value and (len(line) > _WIDTH or _holds_ops(value)):
            yield f"{indent}{flow(key)}:"
            yield from _fields(value, depth + 1)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{flow(key)}:"
            yield from (f"{indent}  - {flow(item)}" for item in value)
        else:
            yield line


def _holds_ops(value: dict[str, Any]) -> bool:
    return "ops" in value or any(isinstance(v, dict) and "ops" in v for v in value.values())


def _number(value: float, digits: int | None) -> str:
    return repr(value) if digits is None else f"{value:.{digits}g}"
