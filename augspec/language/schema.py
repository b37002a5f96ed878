"""The JSON Schema of specs: completion, hover text and squiggles in editors.

It is the schema of the `Spec` model, and what a document may have beside: `extends`, `let`, a
`$name` wherever a value may stand, and, in a document that extends another, mappings that hold a
part of their fields and lists of ops that are edited by the names of their entries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from augspec.language.extends import KEY as EXTENDS
from augspec.language.let import KEY as LET
from augspec.language.let import VERBATIM
from augspec.language.schema_shape import SpecJsonSchema, for_editors
from augspec.language.spec import Spec

Schema = dict[str, Any]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_USE: Schema = {"$ref": "#/$defs/Use"}
"""A `$name`, written once since it stands almost everywhere. It is always the last alternative:
where none fits, editors report the first of those with the most fields in common."""

_OP = {"$ref": "#/$defs/AnyOp"}
_EDITS = {"$ref": "#/$defs/OpsEdit"}
_ANNOTATIONS = ("title", "description", "default", "examples")
_BY_NAME = ("properties", "patternProperties")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")


def spec_schema() -> Schema:
    """The schema (draft 2020-12) of a spec document; editors find it by its comment line."""
    return for_editors(_spec_schema())


def _spec_schema() -> Schema:
    """The rules, before they take the shape in which editors say the most helpful things."""
    model = Spec.model_json_schema(schema_generator=SpecJsonSchema)
    any_op: Schema = {}
    defs = {name: _ops_by_reference(s, any_op) for name, s in model.pop("$defs").items()}
    defs = {name: _inside(schema) for name, schema in defs.items()}
    defs["AnyOp"] = {"oneOf": [*any_op["oneOf"], _USE]}
    defs["Use"] = {"type": "string", "pattern": rf"^\${_NAME}$"}
    fields = {
        name: schema if name in VERBATIM else _value(schema)
        for name, schema in model["properties"].items()
    }
    editing = _Editing(defs)
    parts = {name: editing.part(schema) for name, schema in fields.items()}
    differ = [name for name in fields if parts[name] != fields[name]]
    required = [name for name in model["required"] if name != "version"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augspec, version 1",
        "description": model["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "version": fields.pop("version"),
            EXTENDS: _EXTENDS,
            LET: _LET,
            **{n: _annotations(s) if n in differ else s for n, s in fields.items()},
        },
        "required": ["version"],
        "if": {"required": [EXTENDS]},
        "then": {"properties": {name: parts[name] for name in differ}},
        "else": {"properties": {name: fields[name] for name in differ}, "required": required},
        "$defs": dict(sorted({**defs, **editing.defs}.items())),
    }


_EXTENDS: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "The file of the document that this one is laid over, relative to this file. "
    "Mappings merge; lists replace, but a mapping in place of a list of ops edits the entries that "
    "its keys name (null removes one).",
}
_LET: Schema = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_NAME}$"},
    "description": "Values by name; `$name` stands for the value anywhere else in the document, "
    "and `$$name` for the text `$name`.",
}


def _mapped(schema: Schema, inner: Callable[[Schema], Schema], part: str) -> Schema:
    """The schema with its inner ones replaced, in one kind of place."""
    found = schema.get(part)
    if isinstance(found, list):
        return {**schema, part: [inner(s) for s in found]}
    if part in _BY_NAME and isinstance(found, dict):
        return {**schema, part: {name: inner(s) for name, s in found.items()}}
    return {**schema, part: inner(found)} if isinstance(found, dict) else schema


def _ops_by_reference(schema: Schema, any_op: Schema) -> Schema:
    """The union of all ops, which stands in every list of ops, moved to `any_op`."""
    if schema.get("discriminator", {}).get("propertyName") == "op":
        any_op["oneOf"] = schema["oneOf"]
        return _OP
    for part in (*_BY_NAME, *_ALTERNATIVES, "items", "additionalProperties"):
        schema = _mapped(schema, lambda s: _ops_by_reference(s, any_op), part)
    return schema


def _value(schema: Schema) -> Schema:
    """The schema of a value that a `$name` may stand for."""
    schema = _inside(schema)
    if "const" in schema or schema == _OP:  # `AnyOp` has the alternative itself
        return schema
    for part in ("anyOf", "oneOf"):
        if part in schema:
            return {**schema, part: [*schema[part], _USE]}
    rest = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if rest in ({}, {"type": "string"}):
        return schema
    return {**_annotations(schema), "anyOf": [rest, _USE]}


def _inside(schema: Schema) -> Schema:
    """The schema, whose fields and items may be a `$name`."""
    for part in (*_BY_NAME, "items", "prefixItems", "additionalProperties"):
        schema = _mapped(schema, _value, part)
    for part in _ALTERNATIVES:
        schema = _mapped(schema, _inside, part)
    return schema


def _annotations(schema: Schema) -> Schema:
    return {key: schema[key] for key in _ANNOTATIONS if key in schema}


class _Editing:
    """What a document may hold that is laid over another: any part of what its parent must hold.

    Attributes:
        defs: the definitions that this needs, beside those of whole documents.
    """

    def __init__(self, whole: Mapping[str, Schema]) -> None:
        self._whole = whole
        self.defs: dict[str, Schema] = {}
        edit = {"anyOf": [{"$ref": "#/$defs/AnyOpEdit"}, {"type": "null"}]}
        self.defs["OpsEdit"] = {
            "type": "object",
            "description": "Changes to the parent's list, by the id, op or numbered op "
            "(`gaussian_blur_2`) of its entries; null removes the entry.",
            "additionalProperties": edit,
        }
        self.defs["AnyOpEdit"] = self._any_op()

    def part(self, schema: Schema) -> Schema:
        """A schema for a part of a value: no field is required, and lists of ops can be edited."""
        if "$ref" in schema:
            return {**schema, "$ref": self._part_of(schema["$ref"])}
        schema = {k: v for k, v in schema.items() if k not in ("required", "minProperties")}
        for part in (*_BY_NAME, *_ALTERNATIVES, "additionalProperties"):
            schema = _mapped(schema, self.part, part)
        if any(_is_list_of_ops(s) for s in schema.get("anyOf", ())):
            return {**schema, "anyOf": [*schema["anyOf"][:-1], _EDITS, _USE]}
        return schema

    def _part_of(self, reference: str) -> str:
        name = reference.rsplit("/", 1)[1]
        part = self.part(self._whole[name])
        if part == self._whole[name]:
            return reference
        self.defs[f"{name}Edit"] = part
        return f"{reference}Edit"

    def _any_op(self) -> Schema:
        """The fields of all ops, since an edit need not say which op it edits."""
        fields: dict[str, dict[str, Schema]] = {}
        for reference in self._whole["AnyOp"]["oneOf"]:
            if reference != _USE:
                op = self._whole[reference["$ref"].rsplit("/", 1)[1]]
                for name, schema in op["properties"].items():
                    tag = op["properties"]["op"]["const"]
                    fields.setdefault(name, {})[tag] = self.part(schema)
        properties = {name: _one_of_these(by_op) for name, by_op in fields.items()}
        properties["op"] = {"enum": list(fields["op"])}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def _one_of_these(by_op: Mapping[str, Schema]) -> Schema:
    """The schema of a field that several ops have."""
    alternatives: dict[str, Schema] = {}
    said: dict[str, list[str]] = {}
    for tag, schema in by_op.items():
        if "description" in schema:
            said.setdefault(schema["description"], []).append(tag)
        rest = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        for choice in rest["anyOf"] if set(rest) == {"anyOf"} else [rest]:
            alternatives.setdefault(json.dumps(choice, sort_keys=True), choice)
    use = alternatives.pop(json.dumps(_USE, sort_keys=True), None)
    choices = [*alternatives.values(), *([use] if use is not None else [])]
    lines = [
        text if len(said) == 1 else f"{', '.join(tags)}: {text}" for text, tags in said.items()
    ]
    return {
        **({"description": "\n\n".join(lines)} if lines else {}),
        **({"anyOf": choices} if len(choices) > 1 else choices[0]),
    }


def _is_list_of_ops(schema: Schema) -> bool:
    return schema.get("type") == "array" and schema.get("items") == _OP
