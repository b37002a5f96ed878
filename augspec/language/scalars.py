"""What an unquoted word of a document is: a number, a truth value, nothing, or a string.

These are the rules of the YAML 1.2 core schema (chapter 10.3.2), so `1e-3` is a number and `NO`,
`1_000` and `2024-01-01` are strings. JSON's words mean the same under these rules.
"""

from __future__ import annotations

import math
import re
import sys

Scalar = str | int | float | bool | None

_PREFIX = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_MOST_DIGITS = 400
"""Longer integers than any float64 are a mistake, and slow to read."""


def plain_scalar(word: str) -> Scalar:
    """The value of an unquoted word.

    Raises:
        ValueError: an integer of absurd length.
    """
    if _NULL.fullmatch(word):
        return None
    if _BOOL.fullmatch(word):
        return word.lower() == "true"
    if _INT.fullmatch(word):
        return _integer(word)
    return _real(word)


def tagged_scalar(tag: str | None, word: str, plain: bool) -> Scalar:
    """The value of a scalar with this tag.

    Args:
        tag: the full tag, such as `tag:yaml.org,2002:str`; None or `!` if it has none.
        word: its text, escapes resolved.
        plain: whether it was written without quotes.

    Raises:
        ValueError: the tag is not one of the core ones, or the text does not suit it.
    """
    if tag is None:
        return plain_scalar(word) if plain else word
    if tag in ("!", _PREFIX + "str"):
        return word
    kind = {"null": type(None), "bool": bool, "int": int, "float": float}.get(
        tag.removeprefix(_PREFIX)
    )
    if kind is None:
        raise ValueError(f"the tag {tag_name(tag)} is not supported: documents hold plain data")
    value = plain_scalar(word)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{word!r} does not suit the tag {tag_name(tag)}")
    return value


def is_core_tag(tag: str | None, kind: str) -> bool:
    """Whether a collection may carry this tag; `kind` is `map` or `seq`."""
    return tag in (None, "!", _PREFIX + kind)


def tag_name(tag: str) -> str:
    """A tag as a person writes it: `!!str` for `tag:yaml.org,2002:str`."""
    return "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag


def _integer(word: str) -> int:
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(word)} digits is too long")
    base = {"0o": 8, "0x": 16}.get(word[:2], 10)
    value = int(word[2:] if base != 10 else word, base)
    if abs(value) > sys.float_info.max:
        raise ValueError(f"an integer of {len(word)} digits is too large")
    return value


def _real(word: str) -> Scalar:
    if _FLOAT.fullmatch(word):
        return float(word)
    if _INFINITY.fullmatch(word):
        return -math.inf if word.startswith("-") else math.inf
    return math.nan if _NAN.fullmatch(word) else word
