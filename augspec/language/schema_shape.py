"""The JSON Schema of specs in the shape in which editors say the most helpful things.

Pydantic's schema is right, but a union of ops as `oneOf` makes an editor guess which op was meant:
without an `op`, all match; with a misspelt one, the nearest is complained about. Here the same
rules are written so that every mistake is found at one place: which op it is comes first, and only
that op's fields are asked for. The rules are standard JSON Schema (draft 2020-12); the annotations
`errorMessage` and `enumDescriptions` are read by yaml-language-server (VS Code, Neovim, ...) and
ignored elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

from augspec.language.docs import DocumentJsonSchema
from augspec.language.values import Value

_DEFS = "#/$defs/"
_TAG = "op"


class SpecJsonSchema(DocumentJsonSchema):
    """The generator, with drawn values as a person writes them where they are defaults."""

    def encode_default(self, dft: Any) -> Any:
        """The default as plain data: `[0.1, 2.0]` and not `{low: 0.1, high: 2.0}`."""
        return dft.document() if isinstance(dft, Value) else super().encode_default(dft)


def for_editors(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the shape described above; it accepts the same documents.

    Args:
        schema: as `pydantic.BaseModel.model_json_schema` gives it; it stays as it is.
    """
    return _shaped(schema, schema.get("$defs", {}))


def _shaped(node: Any, defs: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_shaped(part, defs) for part in node]
    if not isinstance(node, dict):
        return node
    tagged = _tags(node.get("oneOf"), defs)
    if tagged:
        return _chosen(node, tagged, defs)
    shaped = {key: _shaped(part, defs) for key, part in node.items()}
    if shaped.get("default", "") in (None, [], "") or isinstance(shaped.get("default"), dict):
        # an editor would write it into the document; that a field may be left out says as much
        shaped.pop("default", None)
    if isinstance(shaped.get("anyOf"), list):
        shaped |= _by_kind(shaped.pop("anyOf"))
    if shaped.get("type") == "object" and "properties" in shaped:
        _describe(shaped)
    if "patternProperties" in shaped:
        patterns = " or ".join(shaped["patternProperties"])
        shaped |= {"additionalProperties": False, "errorMessage": f"must match {patterns}"}
    return shaped


def _tags(alternatives: Any, defs: dict[str, Any]) -> dict[str, str]:
    """The models among the alternatives that a constant `op` tells apart, by its value."""
    found: dict[str, str] = {}
    for alternative in alternatives if isinstance(alternatives, list) else []:
        reference = alternative.get("$ref", "")
        model = defs.get(reference.removeprefix(_DEFS), {})
        tag = model.get("properties", {}).get(_TAG, {}).get("const")
        if tag is not None:
            found[tag] = reference
    return dict(sorted(found.items()))


def _chosen(node: dict[str, Any], tagged: dict[str, str], defs: dict[str, Any]) -> dict[str, Any]:
    """A union of models with a tag: first the tag must be one of those, then that model's rules."""
    about = [defs[ref.removeprefix(_DEFS)].get("description", "") for ref in tagged.values()]
    chosen = {
        "enum": list(tagged),
        "enumDescriptions": [text.split("\n\n")[0] for text in about],
        "errorMessage": f"unknown {_TAG}; known are {', '.join(tagged)}",
    }
    example = f"{{{_TAG}: {next(iter(tagged))}}}"
    one = {
        "title": _TAG,
        "type": "object",
        "errorMessage": f"must be a mapping with {_TAG!r}, such as {example}",
        "required": [_TAG],
        "properties": {_TAG: chosen},
        "allOf": [
            {
                "if": {
                    "type": "object",
                    "required": [_TAG],
                    # not `const`: while completing, an editor takes `resize` for any tag that
                    # begins with it, and would offer the fields of `resized_crop` too
                    "properties": {_TAG: {"type": "string", "pattern": f"^{re.escape(tag)}$"}},
                },
                "then": {"$ref": reference},
            }
            for tag, reference in tagged.items()
        ],
    }
    rest = [a for a in node["oneOf"] if a.get("$ref") not in tagged.values()]
    if not rest:
        return one
    # a name such as `$flip` may stand for the whole
    return {"if": {"type": "string", "pattern": r"^\$"}, "then": {"anyOf": rest}, "else": one}


def _by_kind(alternatives: list[Any]) -> dict[str, Any]:
    """Alternatives of which only those can be complained about that suit the kind of value.

    The small mappings among them become one: `{log_uniform: ...}` and `{choice: ..., weights: ...}`
    are one mapping with three fields, of which the first excludes the others.
    """
    small = [a for a in alternatives if _is_small(a)]
    rest = [a for a in alternatives if not _is_small(a)]
    if len(small) < 2:
        return {"anyOf": alternatives}
    fields: dict[str, Any] = {}
    for alternative in small:
        fields |= alternative["properties"]
    kinds = {alternative["required"][0]: alternative["properties"] for alternative in small}
    joined = {
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
        "errorMessage": f"must have one of the fields {', '.join(kinds)}",
        "minProperties": 1,
        "dependentRequired": {
            field: [kind for kind, own in kinds.items() if field in own]
            for field in fields.keys() - kinds.keys()
        },
        "allOf": [
            {"if": {"required": [kind]}, "then": {"properties": {f: f in own for f in fields}}}
            for kind, own in kinds.items()
        ],
    }
    return {"if": {"type": "object"}, "then": joined, "else": {"anyOf": rest}}


def _is_small(schema: Any) -> bool:
    return (
        isinstance(schema, dict)
        and schema.get("type") == "object"
        and len(schema.get("required", ())) == 1
        and schema.get("additionalProperties") is False
    )


def _describe(model: dict[str, Any]) -> None:
    """Names the fields where another is refused; the tag's documentation is the model's."""
    if model.get("additionalProperties") is False and not model.get("required"):
        model.setdefault("errorMessage", f"fields here: {', '.join(model['properties'])}")
    for field in model["properties"].values():
        if isinstance(field, dict) and isinstance(field.get("const"), str):
            field.setdefault("description", model.get("description", ""))
