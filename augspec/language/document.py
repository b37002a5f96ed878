"""Documents checked against typed models, every mistake named with its place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from augspec.language.diagnostics import SpecError
from augspec.language.explain import explain
from augspec.language.resolve import override
from augspec.language.source import Source, parse_source, read_source

M = TypeVar("M", bound=BaseModel)

_STRICT_SCALARS = frozenset({"int", "float", "str", "bool"})
_NOT_SCHEMAS = frozenset({"default", "metadata", "expected", "serialization"})


def _make_scalars_strict(schema: Any) -> None:
    """Sets `strict` on every scalar in a core schema, where the field does not say otherwise."""
    if isinstance(schema, list | tuple):
        for part in schema:
            _make_scalars_strict(part)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind in _STRICT_SCALARS:
            schema.setdefault("strict", True)
        elif kind == "literal":
            _refuse_lookalikes(schema)
            return
        for key, part in schema.items():
            if key not in _NOT_SCHEMAS:
                _make_scalars_strict(part)


def _refuse_lookalikes(literal: dict[str, Any]) -> None:
    """Makes a `Literal` of numbers refuse what only compares equal: `true` is no 1, nor is 1.0."""
    expected = literal["expected"]
    if all(isinstance(value, str) for value in expected):
        return
    names = " or ".join(map(repr, expected))

    def check(value: Any) -> Any:
        if any(value == e and type(value) is not type(e) for e in expected):
            raise PydanticKnownError("literal_error", {"expected": names})
        return value

    inner = dict(literal)
    literal.clear()
    literal.update(core_schema.no_info_before_validator_function(check, inner))


class DocumentModel(BaseModel):
    """The base of every model that a document is read into.

    Models are frozen and refuse unknown fields, infinities and NaN. A field's docstring is its
    documentation in the JSON Schema. Numbers, strings and truth values are not converted into one
    another (an integer for a `float` field excepted), so `p: true` and `epochs: "5"` are mistakes.
    Pydantic's own strict mode goes further than documents allow: it refuses a list for a `tuple`
    field, a string for a `Path` field, and a mapping for a nested model. Only scalars are strict.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=False,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(handler.resolve_ref_schema(schema))
        return schema


@dataclass(frozen=True)
class Faults:
    """Several mistakes that a model's validator found.

    Attributes:
        found: the path of each, relative to the model, and its message.
    """

    found: Sequence[tuple[Sequence[str | int], str]]

    def error(self) -> PydanticCustomError:
        """The error for the validator to raise; each mistake is shown at its own place."""
        faults = tuple((tuple(path), message) for path, message in self.found)
        lines = (": ".join(filter(None, (".".join(map(str, p)), text))) for p, text in faults)
        return PydanticCustomError("faults", "; ".join(lines), {"faults": faults})


def fault(message: str, *path: str | int) -> PydanticCustomError:
    """The error for a validator to raise: a mistake at `path`, relative to what it validates."""
    return Faults([(path, message)]).error()


def validate(model: type[M], source: Source) -> M:
    """The document as a model.

    Raises:
        SpecError: it does not fit the model; the error lists every mistake.
    """
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        raise SpecError(*explain(error, model, source)) from None


def load_model(model: type[M], path: str | Path, overrides: Sequence[str] = ()) -> M:
    """Reads a YAML or JSON file into a model.

    Args:
        model: the model.
        path: the file.
        overrides: assignments such as `training.epochs=5` (see `resolve.override`).

    Raises:
        SpecError: the file cannot be read, an override is malformed, or the result does not fit the
            model.
    """
    return validate(model, override(read_source(path), overrides))


def loads_model(
    model: type[M], text: str, name: str = "<string>", overrides: Sequence[str] = ()
) -> M:
    """Reads text into a model; `name` stands for the file in error messages.

    Raises:
        SpecError: see `load_model`.
    """
    return validate(model, override(parse_source(text, name), overrides))
