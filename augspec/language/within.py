"""Reading values: from what a person writes to a distribution, with the bounds a field sets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from augspec.language.codes import Code
from augspec.language.diagnostics import meant
from augspec.language.document import fault
from augspec.language.explain import shown
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
    raise fault(f"must be a number, [low, high] or one of {_FORMS}, got {shown(raw)}")


_FORMS = (
    "{log_uniform: [a, b]}, {normal: {mean, std, low, high}}, {beta: {alpha, beta, low, high}}, "
    "{choice: [...], weights: [...]}, {linspace: [low, high, num]}"
)


def _parse_mapping(raw: dict[str, Any]) -> Value:
    kinds = [key for key in raw if key in _KINDS]
    if len(kinds) != 1:
        wrong = next((key for key in raw if key not in kinds), None)
        hint = meant(str(wrong), _KINDS) if wrong else ""
        if wrong == "uniform":
            hint = "; [low, high] is uniform"
        raise fault(f"a drawn value is one of {_FORMS}, got {shown(raw)}{hint}")
    kind = kinds[0]
    _refuse_extra(raw, {kind, "weights"} if kind == "choice" else {kind}, ())
    return _KINDS[kind](raw)


def _log_uniform(raw: dict[str, Any]) -> LogUniform:
    kind, written = "log_uniform", raw["log_uniform"]
    low, high = _pair(written, (kind,))
    if low <= 0:
        raise fault(f"log_uniform needs 0 < low <= high, got {shown(written)}", kind)
    return LogUniform(low, high)


def _normal(whole: dict[str, Any]) -> Normal:
    raw, names = whole["normal"], ("mean", "std", "low", "high")
    if not isinstance(raw, dict) or not all(_is_number(raw.get(n)) for n in names):
        raise fault(f"normal needs the numbers mean, std, low and high, got {shown(raw)}", "normal")
    _refuse_extra(raw, set(names), ("normal",))
    mean, std, low, high = (float(raw[n]) for n in names)
    if std <= 0 or low >= high:
        raise fault(f"normal needs std > 0 and low < high, got {shown(raw)}", "normal")
    if not (low - 8 * std < mean < high + 8 * std):
        # further out, the truncated tail holds no float64 probability mass to invert
        message = f"normal: the mean must lie within 8 std of [{low:g}, {high:g}], got {mean:g}"
        raise fault(message, "normal", "mean")
    return Normal(mean, std, low, high)


def _choice(raw: dict[str, Any]) -> Choice:
    options = raw["choice"]
    if not isinstance(options, (list, tuple)) or not options or not all(map(_is_number, options)):
        raise fault(f"choice needs a list of at least one number, got {shown(options)}", "choice")
    weights = raw.get("weights", [1.0] * len(options))
    if not isinstance(weights, (list, tuple)) or len(weights) != len(options):
        got = len(weights) if isinstance(weights, (list, tuple)) else shown(weights)
        message = f"weights needs one number for each of {len(options)} choices, got {got}"
        raise fault(message, "weights")
    if not all(_is_number(w) and w >= 0 for w in weights) or sum(weights) <= 0:
        raise fault(f"weights must be >= 0 with a positive sum, got {shown(weights)}", "weights")
    return Choice(tuple(float(o) for o in options), tuple(float(w) for w in weights))


def _beta(whole: dict[str, Any]) -> Beta:
    raw, names = whole["beta"], ("alpha", "beta", "low", "high")
    if not isinstance(raw, dict):
        message = f"beta needs {{alpha, beta}}, and may have low and high, got {shown(raw)}"
        raise fault(message, "beta")
    _refuse_extra(raw, set(names), ("beta",))
    given = {"low": 0.0, "high": 1.0, **raw}
    if not all(_is_number(given.get(n)) for n in names):
        raise fault(
            f"beta needs the numbers alpha and beta (and low and high, if given), got {shown(raw)}",
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
        raise fault(f"linspace needs [low, high, num], got {shown(raw)}", "linspace")
    low, high = _pair(raw[:2], ("linspace",))
    if not isinstance(raw[2], int) or raw[2] < 2:
        raise fault(
            f"linspace: num counts the values, both ends included: a whole number from 2, "
            f"got {shown(raw[2])}",
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
            hint = meant(str(key), allowed) or f" (allowed: {', '.join(sorted(allowed))})"
            raise fault(f"unknown field {shown(key)}{hint}", *path, str(key))


def _pair(raw: Any, path: tuple[str, ...]) -> tuple[float, float]:
    if not isinstance(raw, (list, tuple)) or len(raw) != 2 or not all(map(_is_number, raw)):
        raise fault(f"must be two numbers [low, high], got {shown(raw)}", *path)
    low, high = float(raw[0]), float(raw[1])
    if low > high:
        raise fault(f"low must not exceed high, got {shown(raw)}", *path)
    return low, high


def _is_number(raw: Any) -> bool:
    if not isinstance(raw, (int, float)) or isinstance(raw, bool):
        return False
    try:
        return math.isfinite(raw)
    except OverflowError:  # an integer that no float64 holds
        return False


_MOST = 1e9
"""No draw is larger, nor smaller than its inverse where zero is refused: far beyond any use, and
all that is computed from such draws is finite."""


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
        hint: what else to say of a draw out of bounds.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    spread_around: float | None = None
    code: Code | None = None
    hint: str = ""

    def read(self, raw: Any) -> Value:
        """Parses and bounds-checks one field's value."""
        value = self._parsed(raw)
        if max(-value.low, value.high) > _MOST:
            raise fault(f"must lie in [{-_MOST:g}, {_MOST:g}], got {shown(raw)}", code=self.code)
        if self.open_low and self.low < value.low < self.low + 1 / _MOST:
            raise fault(f"must be at least {self.low + 1 / _MOST:g}, got {shown(raw)}")
        if self.spread_around is not None and isinstance(value, Constant):
            return Uniform(value.value, value.value)  # a bare number would read back as a spread
        return value

    def _parsed(self, raw: Any) -> Value:
        if self.spread_around is not None and _is_number(raw):
            return self._spread(float(raw))
        value = parse_value(raw)
        if (
            value.low < self.low
            or value.high > self.high
            or (self.open_low and value.low <= self.low)
        ):
            message = f"must lie in {self.interval()}, got {shown(raw)}{self.hint}"
            raise fault(message, code=self.code)
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
