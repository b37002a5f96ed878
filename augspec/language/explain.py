"""Pydantic's errors in the words and places of the document that a person wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from augspec.language.codes import Code
from augspec.language.diagnostics import Diagnostic, nearest
from augspec.language.habits import habitual
from augspec.language.locate import Place, locate
from augspec.language.source import Path, Source

_WANTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "path_type": "a path",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
"""What a value of the wrong type should have been, by pydantic's name of the error."""

_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "entry", "entries"),
    "too_long": ("at most", "max_length", "entry", "entries"),
    "string_too_short": ("at least", "min_length", "character", "characters"),
    "string_too_long": ("at most", "max_length", "character", "characters"),
}
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a mapping"),
)
"""What a value is called; a truth value is also an int, so it comes first."""

_MOST_SHOWN = 60
_DOCUMENT_FIELDS = ("extends", "let")
"""What every document may have at its top: the model never sees it."""


@dataclass(frozen=True)
class _Finding:
    """One mistake: what is wrong, or (for a wrong type or word) only what was wanted instead."""

    path: Path
    message: str = ""
    wanted: str = ""
    value: Any = None
    key: bool = False
    code: Code | None = None
    unions: tuple[tuple[Path, str], ...] = ()
    hint: str = ""


def explain(
    error: ValidationError, model: type[BaseModel], source: Source
) -> tuple[Diagnostic, ...]:
    """Every mistake of the document once, each at its place."""
    findings: list[_Finding] = []
    for details in error.errors(include_url=False):
        findings += _findings(details, model, source.data)
    spoken = {(f.path, _message(f), f.key, f.code): None for f in _fitting(findings)}
    return tuple(
        source.diagnostic(path, message, key=key, code=code) for path, message, key, code in spoken
    )


def shown(value: Any) -> str:
    """A value as messages show it, at most 60 characters long."""
    text = repr(value)
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


def _findings(details: ErrorDetails, model: type[BaseModel], data: Any) -> Iterator[_Finding]:
    kind, loc, value = details["type"], details["loc"], details["input"]
    ctx = details.get("ctx", {})
    if kind in ("missing", "extra_forbidden"):
        yield _field_finding(kind, locate(model, data, loc[:-1]), loc[-1], value)
        return
    place = locate(model, data, loc)
    path, unions = place.path, place.unions
    if "faults" in ctx:
        for found in ctx["faults"]:
            yield _Finding((*path, *found.path), found.message, code=found.code, unions=unions)
    elif kind == "union_tag_invalid":
        yield _unknown_tag(place, ctx, value)
    elif kind == "union_tag_not_found":
        yield _missing_tag(place, ctx, value)
    elif kind in _WANTED:
        wanted = _WANTED[kind]
        if place.path and place.fields:
            wanted += f" with the fields {', '.join(place.fields)}"
        hint = _misshapen(place, value)
        yield _Finding(path, "", wanted, value, key=place.key, unions=unions, hint=hint)
    elif kind in ("literal_error", "enum"):
        wanted = str(ctx["expected"])
        yield _Finding(path, wanted=wanted, value=value, key=place.key, unions=unions)
    else:
        message = _rule(details, place)
        yield _Finding((*path, *ctx.get("path", ())), message, key=place.key, unions=unions)


def _field_finding(kind: str, place: Place, name: str | int, value: Any) -> _Finding:
    """A field that is missing or unknown; a fixed list's missing entry also counts as a field."""
    if isinstance(name, int):
        wanted = f"{place.length or name + 1} entries, got {len(value)}"
        return _Finding(place.path, f"must have {wanted}", unions=place.unions)
    if kind == "missing":
        message = f"missing required field {name!r} in {place}"
        return _Finding(place.path, message, unions=place.unions)
    known = place.fields if place.path else (*place.fields, *_DOCUMENT_FIELDS)
    hint = _missing_space(name, known) or _suggestion(name, known)
    message = f"unknown field {shown(name)} in {place}{hint}"
    if place.fields:
        message += f" (fields: {', '.join(place.fields)})"
    return _Finding((*place.path, name), message, key=True, unions=place.unions)


def _unknown_tag(place: Place, ctx: dict[str, Any], value: Any) -> _Finding:
    field = str(ctx["discriminator"]).strip("'")
    known = _quoted(ctx["expected_tags"])
    tag = value.get(field) if isinstance(value, dict) else ctx["tag"]
    message = f"unknown {field} {shown(tag)}{_suggestion(str(tag), known)}"
    message += f" (known: {', '.join(known)})"
    return _Finding((*place.path, field), message, unions=place.unions)


def _missing_tag(place: Place, ctx: dict[str, Any], value: Any) -> _Finding:
    """A mapping without the field that says what it is, and what was written in its stead."""
    field = str(ctx["discriminator"]).strip("'")
    keys = list(value) if isinstance(value, dict) else []
    hints = [_missing_space(key, [field]) for key in keys]
    hints += [f"; did you mean {field!r} by {key!r}?" for key in keys if _means(key, field)]
    hints += [f"; did you mean {{{field}: {key}}}?" for key in keys if key in place.tags]
    message = f"missing {field!r} in {place}" + next(filter(None, hints), "")
    return _Finding(place.path, message, unions=place.unions)


def _misshapen(place: Place, value: Any) -> str:
    """What to say of an op that is only a word, and of list entries that are taken for keys."""
    if isinstance(value, str) and value in place.tags:
        return f"; did you mean {{{place.discriminator}: {value}}}?"
    dash = isinstance(value, dict) and any(re.match("-[^- ]", key) for key in value)
    return "; a space must follow the '-' of an entry" if dash else ""


def _missing_space(name: str, known: Sequence[str]) -> str:
    """What to say of a key such as `p:0.2`, which holds its value."""
    key = name.partition(":")[0]
    return f"; a space must follow the ':' of {key!r}" if key != name and key in known else ""


def _means(name: str, field: str) -> bool:
    return habitual(name, [field]) is not None


def _rule(details: ErrorDetails, place: Place) -> str:
    """The message for a value of the right type that breaks a rule."""
    kind, value, ctx = details["type"], details["input"], details.get("ctx", {})
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {_number(ctx[name])}, got {shown(value)}"
    if kind in _LENGTHS:
        words, name, one, many = _LENGTHS[kind]
        if kind == "too_long" and place.length is not None:
            words = "exactly"
        noun = one if ctx[name] == 1 else many
        got = shown(value) if isinstance(value, str) else len(value)
        return f"must have {words} {ctx[name]} {noun}, got {got}"
    if kind == "string_pattern_mismatch":
        return f"must match the pattern {ctx['pattern']}, got {shown(value)}"
    if kind in ("value_error", "assertion_error"):
        return _with_value(str(ctx["error"]), value)
    if "path" in ctx:
        return details["msg"]
    return _with_value(details["msg"], value)


def _with_value(message: str, value: Any) -> str:
    """The message, ending with the value unless it shows it or the value is a whole mapping."""
    if isinstance(value, dict | BaseModel) or "got " in message or shown(value) in message:
        return message
    return f"{message}, got {shown(value)}"


def _fitting(findings: Sequence[_Finding], depth: int = 0) -> Iterator[_Finding]:
    """Leaves of what pydantic says of each type that a value might have had what helps.

    Args:
        findings: mistakes whose unions agree up to `depth`.
        depth: how many unions are settled.
    """
    tried: dict[Path, dict[str, list[_Finding]]] = {}
    for finding in findings:
        if len(finding.unions) <= depth:
            yield finding
        else:
            path, label = finding.unions[depth]
            tried.setdefault(path, {}).setdefault(label, []).append(finding)
    for path, members in tried.items():
        yield from _best([list(_fitting(member, depth + 1)) for member in members.values()], path)


def _best(members: Sequence[list[_Finding]], path: Path) -> list[_Finding]:
    """The mistakes under the type that fits best: the right kind of value, the fewest mistakes.

    Where the value is of none of the kinds, one mistake names them all.
    """
    shapes = [next((f for f in m if f.wanted and f.path == path), None) for m in members]
    if None in shapes:
        fitting = [m for m, shape in zip(members, shapes, strict=True) if shape is None]
        return min(fitting, key=len)
    wrong = [shape for shape in shapes if shape is not None]
    return [replace(wrong[0], wanted=" or ".join(dict.fromkeys(f.wanted for f in wrong)))]


def _message(finding: _Finding) -> str:
    if finding.message:
        return finding.message
    wanted, value = finding.wanted, finding.value
    text = f"must be {wanted}, got {shown(value)}"
    # a word among words, or a number among numbers, needs no mention of its type
    alike = wanted.startswith("'") if isinstance(value, str) else not re.search("[a-z]", wanted)
    if not alike and value is not None and " finite " not in wanted:
        text += f" ({_kind(value)})"
    guess = _suggestion(value, _quoted(wanted)) if isinstance(value, str) else ""
    return text + (guess or finding.hint)


def _suggestion(name: str, allowed: Sequence[str]) -> str:
    guess = habitual(name, allowed) or nearest(name, allowed)
    return f"; did you mean {guess!r}?" if guess is not None else ""


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _number(bound: Any) -> str:
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _kind(value: Any) -> str:
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return type(value).__name__
