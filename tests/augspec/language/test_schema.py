"""The JSON Schema accepts what loads, and refuses what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from augspec.language.schema import spec_schema
from augspec.language.source import parse_source, read_source

SPECS = Path(__file__).parents[3] / "specs" / "augmentations"
SCHEMA = spec_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
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
    assert VALIDATOR.is_valid(parse_source(text).data)


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
    assert not VALIDATOR.is_valid(parse_source(text).data)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_published_specs_fit(path: Path) -> None:
    assert VALIDATOR.is_valid(read_source(path).data)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
