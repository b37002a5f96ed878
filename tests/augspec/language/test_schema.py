"""The JSON Schema accepts what loads, and refuses what does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augspec.language.schema import spec_schema
from augspec.language.source import parse_source, read_source

SPECS = Path(__file__).parents[3] / "specs" / "augmentations"
SCHEMA = spec_schema()
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
}
SAID = {"title", "description", "default", "examples", "$schema", "$defs", "then", "else"}


def fits(schema: Any, value: Any) -> bool:
    """Whether a value fits a schema of draft 2020-12, for the keywords that ours uses."""
    if isinstance(schema, bool):
        return schema
    return all(keyword(schema, key, value) for key in schema if key not in SAID)


def keyword(schema: dict[str, Any], key: str, value: Any) -> bool:
    """Whether the value obeys one keyword; those for other types say nothing of it."""
    rule = schema[key]
    number, text = TYPES["number"](value), isinstance(value, str)
    items, fields = isinstance(value, list), isinstance(value, dict)
    match key:
        case "$ref":
            target = SCHEMA
            for part in rule.removeprefix("#/").split("/"):
                target = target[part]
            return fits(target, value)
        case "type":
            return TYPES[rule](value)
        case "const":
            return value == rule and type(value) is type(rule)
        case "enum":
            return value in rule
        case "anyOf":
            return any(fits(s, value) for s in rule)
        case "oneOf":
            return sum(fits(s, value) for s in rule) == 1
        case "if":
            return fits(schema.get("then" if fits(rule, value) else "else", True), value)
        case "minimum":
            return not number or value >= rule
        case "exclusiveMinimum":
            return not number or value > rule
        case "maximum":
            return not number or value <= rule
        case "exclusiveMaximum":
            return not number or value < rule
        case "multipleOf":
            return not number or value % rule == 0
        case "pattern":
            return not text or re.search(rule, value) is not None
        case "minLength":
            return not text or len(value) >= rule
        case "maxLength":
            return not text or len(value) <= rule
        case "minItems":
            return not items or len(value) >= rule
        case "maxItems":
            return not items or len(value) <= rule
        case "minProperties":
            return not fields or len(value) >= rule
        case "uniqueItems":
            return not items or len(value) == len({repr(v) for v in value})
        case "prefixItems":
            return not items or all(fits(s, v) for s, v in zip(rule, value, strict=False))
        case "items":
            rest = value[len(schema.get("prefixItems", ())) :] if items else ()
            return all(fits(rule, v) for v in rest)
        case "required":
            return not fields or all(name in value for name in rule)
        case "propertyNames":
            return not fields or all(fits(rule, name) for name in value)
        case "properties":
            return not fields or all(fits(s, value[n]) for n, s in rule.items() if n in value)
        case "patternProperties":
            return not fields or all(
                fits(s, v) for p, s in rule.items() for n, v in value.items() if re.search(p, n)
            )
        case "additionalProperties":
            known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
            return not fields or all(
                fits(rule, v)
                for n, v in value.items()
                if n not in known and not any(re.search(p, n) for p in patterns)
            )
    raise AssertionError(f"a keyword that this test does not know: {key}")


HEAD = "version: 1\nname: a\n"
EXTENDS = "version: 1\nextends: x.yaml\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "views: {a: {ops: [$x, {op: gaussian_blur, sigma: $s, p: $p, kernel: $k}]}, b: $v}",
        HEAD + "views: {a: {ops: $list}}\nnormalize: $n\nimage: {size: [$h, 32]}",
        HEAD + "views: {a: {ops: [{op: gaussian_blur, sigma: [$low, 2]}]}}",
        HEAD + "views: {a: {ops: [{op: color_jitter, hue: {normal: {mean: $m, std: 1, "
        "low: -0.1, high: 0.1}}}]}}",
        HEAD + "views: {a: {ops: [{op: maybe, ops: [$flip, {op: one_of, ops: $rest}]}]}}",
        HEAD + "let: {x: [1], y_2: {z: $x}}\nviews: {a: {}}\nmeta: {x: [1, {a: 2}]}",
        EXTENDS,
        EXTENDS + "normalize: {std: [1]}",
        EXTENDS + "views: {a: {ops: {gaussian_blur: {p: 0, sigma: $s}, flip: null}}}",
        EXTENDS + "views: {a: {ops: {one_of: {ops: {rotate: {degrees: 10}, x: null}}}}}",
        EXTENDS + "views: {a: {ops: [{op: gaussian_blur}]}}",
        EXTENDS + "views: {a: {ops: {maybe: {ops: [{op: gaussian_blur}]}}}}",
    ],
)
def test_accepted(text: str) -> None:
    assert fits(SCHEMA, parse_source(text).data)


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nviews: {a: {}}",
        "version: 1\nviews: {a: {}}",
        "version: 1\nname: a",
        "version: 2\nname: a\nviews: {a: {}}",
        HEAD + "views: {}",
        HEAD + "views: {a: {ops: [{op: gaussian_blur, sigma: $}]}}",
        HEAD + "views: {a: {ops: [{op: gaussian_blur, sigma: x}]}}",
        HEAD + "views: {a: {ops: [{op: gaussian_blur, p: 1.5}]}}",
        HEAD + "views: {a: {ops: [{op: gaussian_blur, sgima: 1}]}}",
        HEAD + "views: {a: {ops: {gaussian_blur: {p: 0}}}}",
        HEAD + "views: {a: {ops: [{op: maybe, ops: {gaussian_blur: {p: 0}}}]}}",
        HEAD + "views: {a: {}}\nnormalize: {std: [1]}",
        HEAD + "views: {a: {}}\nlet: {1a: 2}",
        HEAD + "views: {a: {}}\nmeta: 5",
        "version: 1\nextends: [x.yaml]",
        EXTENDS + "nmae: a",
        EXTENDS + "views: {a: {ops: {gaussian_blur: {pp: 0}}}}",
        EXTENDS + "views: {a: {ops: {gaussian_blur: {p: 2}}}}",
        EXTENDS + "views: {a: {ops: {gaussian_blur: 2}}}",
        EXTENDS + "views: {a: {ops: {one_of: {ops: {rotate: {pp: 10}}}}}}",
        EXTENDS + "views: {a: {ops: [{op: maybe, ops: {gaussian_blur: {p: 0}}}]}}",
    ],
)
def test_refused(text: str) -> None:
    assert not fits(SCHEMA, parse_source(text).data)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_published_specs_fit(path: Path) -> None:
    assert fits(SCHEMA, read_source(path).data)
