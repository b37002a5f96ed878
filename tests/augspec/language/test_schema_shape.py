from __future__ import annotations

import copy
from typing import Any

from augspec.language.schema import spec_schema
from augspec.language.schema_shape import SpecJsonSchema, for_editors
from augspec.language.spec import Spec
from augspec.ops import OPS


def parts(node: Any) -> list[dict[str, Any]]:
    """Every mapping of a schema."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [part for value in inner for part in parts(value)]
    return [node, *found] if isinstance(node, dict) else found


def test_the_schema_that_it_gets_stays_as_it_is_and_twice_is_once() -> None:
    schema = spec_schema()
    before = copy.deepcopy(schema)
    shaped = for_editors(schema)
    assert schema == before
    assert for_editors(shaped) == shaped


def test_an_op_is_asked_for_before_its_fields() -> None:
    (union,) = [
        part
        for part in parts(for_editors(Spec.model_json_schema())["$defs"]["View"])
        if "allOf" in part and part.get("title") == "op"
    ]
    assert union["required"] == ["op"]
    assert union["properties"]["op"]["enum"] == sorted(OPS)
    assert "oneOf" not in union
    assert len(union["properties"]["op"]["enumDescriptions"]) == len(OPS)
    tags = {b["if"]["properties"]["op"]["pattern"]: b["then"]["$ref"] for b in union["allOf"]}
    assert tags["^resize$"] == "#/$defs/Resize"


def test_no_default_that_a_document_may_not_hold_is_offered() -> None:
    for schema in (spec_schema(), Spec.model_json_schema(schema_generator=SpecJsonSchema)):
        for part in parts(for_editors(schema)):
            default = part.get("default", 0)
            assert default is not None
            assert not isinstance(default, dict) or "type" in default or "$ref" in default


def test_a_drawn_default_is_as_a_person_writes_it() -> None:
    schema = Spec.model_json_schema(schema_generator=SpecJsonSchema)
    fields = schema["$defs"]["GaussianBlur"]["properties"]
    assert fields["sigma"]["default"] == [0.1, 2.0]
    assert schema["$defs"]["Solarize"]["properties"]["threshold"]["default"] == 0.5


def test_the_kinds_of_drawn_values_are_one_mapping_of_which_one_field_excludes_the_others() -> None:
    threshold = for_editors(Spec.model_json_schema())["$defs"]["Solarize"]["properties"][
        "threshold"
    ]
    assert threshold["if"] == {"type": "object"}
    kinds = threshold["then"]
    assert {"log_uniform", "normal", "choice", "weights"} <= set(kinds["properties"])
    assert kinds["dependentRequired"] == {"weights": ["choice"]}
    rule = next(r["then"] for r in kinds["allOf"] if r["if"] == {"required": ["choice"]})
    assert rule["properties"]["weights"] is True
    assert rule["properties"]["normal"] is False
    assert [a["type"] for a in threshold["else"]["anyOf"]] == ["number", "array"]


def test_only_names_that_fit_the_pattern_are_keys_of_views() -> None:
    views = for_editors(Spec.model_json_schema())["properties"]["views"]
    assert views["additionalProperties"] is False
    assert "must match" in views["errorMessage"]
