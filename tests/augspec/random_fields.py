"""What the fields of an op may be, as hypothesis strategies; see `random_specs`."""

from __future__ import annotations

import math
import types
import typing
from functools import cache
from typing import Any, Literal

import annotated_types
from hypothesis import strategies as st

from augspec.language.values import Value
from augspec.language.within import Within
from augspec.ops.contract import Op
from augspec.ops.geometry import Side


@cache
def own_fields(cls: type[Op]) -> list[str]:
    """The fields that not every op has, the ops inside a combinator aside."""
    return [n for n in cls.model_fields if n not in Op.model_fields and n not in ("op", "ops")]


@cache
def field(cls: type[Op], name: str, count: int, usual: bool) -> st.SearchStrategy[Any]:
    """What a field may be, judged by its type; `count` is the number of a combinator's ops."""
    info = cls.model_fields[name]
    seen = [*_written(cls, name), cls().model_dump(mode="json")[name]]
    for bounds in info.metadata:
        if isinstance(bounds, Within):
            return _values(bounds, _reach(cls, name, bounds, usual), usual)
    if info.annotation is bool:
        return st.booleans()
    if typing.get_origin(info.annotation) is Literal:
        return st.sampled_from(typing.get_args(info.annotation))
    if info.annotation is float:
        low, high = (
            _bound(info.metadata, kind) for kind in (annotated_types.Ge, annotated_types.Le)
        )
        return _numbers(low, high, usual)
    if Side in typing.get_args(info.annotation):
        return st.just(seen[0])  # drawn where the image is known
    if count and _is_list_of_numbers(info.annotation):
        each = st.sampled_from([1.0, 0.0, 0.5, 3.0])
        return st.lists(each, min_size=count, max_size=count)
    return st.sampled_from(seen)


def _written(cls: type[Op], name: str) -> list[Any]:
    return [example[name] for example in cls.examples if name in example]


def _bound(metadata: list[Any], kind: type) -> float:
    (found,) = (m for m in metadata if isinstance(m, kind))
    return float(getattr(found, kind.__name__.lower()))


def _is_list_of_numbers(annotation: Any) -> bool:
    parts = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else [annotation]
    return any(typing.get_origin(p) is tuple and Ellipsis in typing.get_args(p) for p in parts)


def _reach(cls: type[Op], name: str, bounds: Within, usual: bool) -> tuple[float, float]:
    """The range to draw from: the field's bounds, or as far as the op's own file goes."""
    documents = [{"op": cls.tag()}, *({"op": cls.tag(), **example} for example in cls.examples)]
    values: list[Value] = [getattr(cls.model_validate(document), name) for document in documents]
    low, high = min(value.low for value in values), max(value.high for value in values)
    if not usual and math.isfinite(bounds.low) and not bounds.open_low:
        low = bounds.low
    if not usual and math.isfinite(bounds.high):
        high = bounds.high
    return low, high


def _numbers(low: float, high: float, usual: bool) -> st.SearchStrategy[float]:
    """Numbers of a range: its ends, and what evenly divides it, more often than all others."""
    grid = st.integers(0, 16).map(lambda k: low + (high - low) * (k / 16))
    # 1e-9 is lost beside 1 in float32, and is the least that fields above 0 take
    digits = 6 if usual else 9
    numbers = st.floats(low, high).map(lambda v: min(max(round(v, digits), low), high))
    return st.one_of(grid, grid, numbers)


def _values(bounds: Within, reach: tuple[float, float], usual: bool) -> st.SearchStrategy[Any]:
    """Values of every form."""
    low, high = reach
    number = _numbers(low, high, usual)
    pair = st.tuples(number, number).map(sorted)
    forms: list[st.SearchStrategy[Any]] = [pair]
    if bounds.spread_around is None:
        forms.append(number)
    else:
        forms.append(_numbers(0.0, high - bounds.spread_around, usual))
    options = st.lists(number, min_size=1, max_size=3)
    forms.append(options.map(lambda found: {"choice": found}))
    weighted = st.lists(st.tuples(number, st.sampled_from([1.0, 0.0, 2.5])), min_size=1, max_size=3)
    weighted = weighted.filter(lambda found: any(weight for _, weight in found))
    forms.append(
        weighted.map(
            lambda found: {"choice": [o for o, _ in found], "weights": [w for _, w in found]}
        )
    )
    forms.append(
        st.builds(lambda ends, num: {"linspace": [*ends, num]}, pair, st.sampled_from([2, 3, 5]))
    )
    if low < high:
        forms.append(pair.filter(lambda ends: ends[0] > 0).map(lambda ends: {"log_uniform": ends}))
        distinct = pair.filter(lambda ends: ends[0] < ends[1])
        shapes = st.sampled_from([0.5, 1.0, 2.0, 5.0])
        forms.append(st.builds(_beta, distinct, shapes, shapes))
        share = st.sampled_from([0.5, 0.0, 1.0, 0.25])
        forms.append(st.builds(_normal, distinct, share, st.sampled_from([0.25, 1.0])))
    return st.one_of(forms)


def _beta(ends: list[float], alpha: float, beta: float) -> dict[str, Any]:
    return {"beta": {"alpha": alpha, "beta": beta, "low": ends[0], "high": ends[1]}}


def _normal(ends: list[float], share: float, spread: float) -> dict[str, Any]:
    low, high = ends
    mean, std = low + share * (high - low), spread * (high - low)
    return {"normal": {"mean": mean, "std": std, "low": low, "high": high}}
