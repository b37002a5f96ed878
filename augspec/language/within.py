"""Reading values: from what a person writes to a distribution, with the bounds a field sets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from augspec.language.codes import Code
from augspec.language.diagnostics import nearest
from augspec.language.document import fault
from augspec.language.values import (
    Beta,
    Choice,
    Constant,
    Linspace,
    LogUniform,
    Normal,
    Uniform,
    Value,
)


def parse_value(raw: Any) -> Value:
    """Reads a value in the form a person writes it.

    Raises:
        PydanticCustomError: not a value; the error carries the path inside `raw`.
    """
    if isinstance(raw, Value):
        return raw
    if _is_number(raw):
        return Constant(float(raw))
    if isinstance(raw, (list, tuple)):
        return Uniform(*_pair(raw, ()))
    if isinstance(raw, dict):
        return _parse_mapping(raw)
    raise fault(f"must be a number, [low, high] or one of {_FORMS}, got {raw!r}")


_FORMS = (
    "{log_uniform: [a, b]}, {normal: {mean, std, low, high}}, {beta: {alpha, beta, low, high}}, "
    "{choice: [...], weights: [...]}, {linspace: [low, high, num]}"
)


def _parse_mapping(raw: dict[str, Any]) -> Value:
    kinds = [key for key in raw if key in _KINDS]
    if len(kinds) != 1:
        wrong = next((key for key in raw if key not in kinds), None)
        guess = nearest(str(wrong), tuple(_KINDS)) if wrong else None
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise fault(f"a drawn value is one of {_FORMS}, got {raw!r}{hint}")
    kind = kinds[0]
    _refuse_extra(raw, {kind, "weights"} if kind == "choice" else {kind}, ())
    return _KINDS[kind](raw)


def _log_uniform(raw: dict[str, Any]) -> LogUniform:
    low, high = _pair(raw["log_uniform"], ("log_uniform",))
    if low <= 0:
        raise fault(f"log_uniform needs 0 < low <= high, got {raw['log_uniform']!r}", "log_uniform")
    return LogUniform(low, high)


def _normal(whole: dict[str, Any]) -> Normal:
    raw, names = whole["normal"], ("mean", "std", "low", "high")
    if not isinstance(raw, dict) or not all(_is_number(raw.get(n)) for n in names):
        raise fault(f"normal needs the numbers mean, std, low and high, got {raw!r}", "normal")
    _refuse_extra(raw, set(names), ("normal",))
    mean, std, low, high = (float(raw[n]) for n in names)
    if std <= 0 or low >= high:
        raise fault(f"normal needs std > 0 and low < high, got {raw!r}", "normal")
    if not (low - 8 * std < mean < high + 8 * std):
        # further out, the truncated tail holds no float64 probability mass to invert
        raise fault("normal: the mean lies more than 8 std outside [low, high]", "normal", "mean")
    return Normal(mean, std, low, high)


def _choice(raw: dict[str, Any]) -> Choice:
    options = raw["choice"]
    if not isinstance(options, (list, tuple)) or not options or not all(map(_is_number, options)):
        raise fault(f"choice needs a list of at least one number, got {options!r}", "choice")
    weights = raw.get("weights", [1.0] * len(options))
    if not isinstance(weights, (list, tuple)) or len(weights) != len(options):
        raise fault(f"weights needs one number for each of {len(options)} choices", "weights")
    if not all(_is_number(w) and w >= 0 for w in weights) or sum(weights) <= 0:
        raise fault(f"weights must be >= 0 with a positive sum, got {weights!r}", "weights")
    return Choice(tuple(float(o) for o in options), tuple(float(w) for w in weights))


def _beta(whole: dict[str, Any]) -> Beta:
    raw, names = whole["beta"], ("alpha", "beta", "low", "high")
    if not isinstance(raw, dict):
        raise fault(f"beta needs {{alpha, beta}}, and may have low and high, got {raw!r}", "beta")
    _refuse_extra(raw, set(names), ("beta",))
    given = {"low": 0.0, "high": 1.0, **raw}
    if not all(_is_number(given.get(n)) for n in names):
        raise fault(
            f"beta needs the numbers alpha and beta (and low and high, if given), got {raw!r}",
            "beta",
        )
    alpha, beta, low, high = (float(given[n]) for n in names)
    for name, shape in (("alpha", alpha), ("beta", beta)):
        if not _SHAPES[0] <= shape <= _SHAPES[1]:
            # within these, quantiles are known to be accurate
            allowed = f"[{_SHAPES[0]:g}, {_SHAPES[1]:g}]"
            raise fault(f"beta: {name} must lie in {allowed}, got {shape:g}", "beta", name)
    if low >= high:
        raise fault(f"beta needs low < high, got low {low:g} and high {high:g}", "beta")
    return Beta(alpha, beta, low, high)


def _linspace(whole: dict[str, Any]) -> Linspace:
    raw = whole["linspace"]
    if not isinstance(raw, (list, tuple)) or len(raw) != 3 or not all(map(_is_number, raw)):
        raise fault(f"linspace needs [low, high, num], got {raw!r}", "linspace")
    low, high = _pair(raw[:2], ("linspace",))
    if not isinstance(raw[2], int) or raw[2] < 2:
        raise fault(
            f"linspace: num counts the values, both ends included: a whole number from 2, "
            f"got {raw[2]!r}",
            "linspace",
            2,
        )
    return Linspace(low, high, raw[2])


_SHAPES = (0.05, 100.0)

_KINDS: dict[str, Callable[[dict[str, Any]], Value]] = {
    "log_uniform": _log_uniform,
    "normal": _normal,
    "beta": _beta,
    "choice": _choice,
    "linspace": _linspace,
}
"""What reads each kind of drawn value, by the key that names it."""


def _refuse_extra(raw: dict[str, Any], allowed: set[str], path: tuple[str, ...]) -> None:
    for key in raw:
        if key not in allowed:
            guess = nearest(str(key), allowed)
            hint = f"; did you mean {guess!r}?" if guess else f" (allowed: {sorted(allowed)})"
            raise fault(f"unknown field {key!r}{hint}", *path, str(key))


def _pair(raw: Any, path: tuple[str, ...]) -> tuple[float, float]:
    if not isinstance(raw, (list, tuple)) or len(raw) != 2 or not all(map(_is_number, raw)):
        raise fault(f"must be two numbers [low, high], got {raw!r}", *path)
    low, high = float(raw[0]), float(raw[1])
    if low > high:
        raise fault(f"low must not exceed high, got [{raw[0]!r}, {raw[1]!r}]", *path)
    return low, high


def _is_number(raw: Any) -> bool:
    if not isinstance(raw, (int, float)) or isinstance(raw, bool):
        return False
    try:
        return math.isfinite(raw)
    except OverflowError:  # an integer that no float64 holds
        return False


@dataclass(frozen=True)
class Within:
    """Annotates a `Value` field: how to read and write it, and the bounds its draws must keep.

    Attributes:
        low: the smallest draw allowed.
        high: the largest draw allowed.
        open_low: whether `low` itself is refused.
        spread_around: torchvision's shorthand: a single number s means the range
            [spread_around - s, spread_around + s], clipped to the bounds.
        code: the stable code of the mistake of a draw out of bounds.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    spread_around: float | None = None
    code: Code | None = None

    def read(self, raw: Any) -> Value:
        """Parses and bounds-checks one field's value."""
        if self.spread_around is not None and _is_number(raw):
            return self._spread(float(raw))
        value = parse_value(raw)
        if (
            value.low < self.low
            or value.high > self.high
            or (self.open_low and value.low <= self.low)
        ):
            raise fault(f"must lie in {self.interval()}, got {raw!r}", code=self.code)
        if self.spread_around is not None and isinstance(value, Constant):
            return Uniform(value.value, value.value)  # a bare number would read back as a spread
        return value

    def _spread(self, s: float) -> Value:
        centre = self.spread_around
        assert centre is not None
        if s < 0 or centre + s > self.high:
            limit = self.high - centre
            at_most = f" and <= {limit:g}" if math.isfinite(limit) else ""
            raise fault(f"a single number is a spread around {centre:g}: >= 0{at_most}, got {s:g}")
        return Uniform(max(self.low, centre - s), centre + s)

    def interval(self) -> str:
        """The bounds as a person writes them, such as `(0, 1]`."""
        left = "(" if self.open_low or math.isinf(self.low) else "["
        right = ")" if math.isinf(self.high) else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.document()  # not Value.document: each subclass has its own
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "number"}
        if math.isfinite(self.low):
            number["exclusiveMinimum" if self.open_low else "minimum"] = self.low
        if math.isfinite(self.high):
            number["maximum"] = self.high
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        single = number
        if self.spread_around is not None:
            limit = self.high - self.spread_around
            single = {"type": "number", "minimum": 0} | (
                {"maximum": limit} if math.isfinite(limit) else {}
            )
        normal = {
            "type": "object",
            "properties": {"mean": {"type": "number"}, "std": {"type": "number"}}
            | {"low": number, "high": number},
            "required": ["mean", "std", "low", "high"],
            "additionalProperties": False,
        }
        shape = {"type": "number", "minimum": _SHAPES[0], "maximum": _SHAPES[1]}
        beta = {
            "type": "object",
            "properties": {"alpha": shape, "beta": shape, "low": number, "high": number},
            "required": ["alpha", "beta"],
            "additionalProperties": False,
        }
        evenly = {
            "type": "array",
            "prefixItems": [number, number, {"type": "integer", "minimum": 2}],
            "minItems": 3,
            "maxItems": 3,
        }
        many = {"type": "array", "items": number, "minItems": 1}
        weights = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1}
        return {
            "anyOf": [
                single,
                pair,
                _object("log_uniform", pair),
                _object("normal", normal),
                _object("beta", beta),
                _object("choice", many, weights=weights),
                _object("linspace", evenly),
            ]
        }


def _object(required: str, schema: dict[str, Any], **optional: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {required: schema, **optional},
        "required": [required],
        "additionalProperties": False,
    }
