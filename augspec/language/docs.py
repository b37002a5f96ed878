"""The documentation of fields: the string under each in the source of its class.

Pydantic can read these too (`use_attribute_docstrings`), but does so whenever a class is made,
which costs every start of the command line a third of its time. Here they are read when asked for.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from functools import cache

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The documentation of each field, a base's where the class has none of its own."""
    found: dict[str, str] = {}
    for own in reversed(model.__mro__):
        if issubclass(own, BaseModel) and own is not BaseModel:
            found |= _written(own)
    return {name: found[name] for name in model.model_fields if name in found}


def _written(model: type[BaseModel]) -> dict[str, str]:
    """What stands under the annotated names in the body of the class."""
    source = textwrap.dedent(inspect.getsource(model))
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(below.value.value)
    return found


class DocumentJsonSchema(GenerateJsonSchema):
    """Pydantic's generator, with the documentation of fields as their descriptions."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """See `pydantic.json_schema.GenerateJsonSchema.model_schema`."""
        found = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for name, text in field_docs(model).items():
            field = found.get("properties", {}).get(model.model_fields[name].alias or name)
            if field is not None:
                field.setdefault("description", text)
        return found
