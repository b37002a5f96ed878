"""Documents checked against typed models, every mistake named with its place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from augspec.language.codes import Code
from augspec.language.compose import composed
from augspec.language.diagnostics import SpecError
from augspec.language.docs import DocumentJsonSchema
from augspec.language.explain import explain
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
        serialize_by_alias=True,
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """See `pydantic.BaseModel.model_json_schema`; with the documentation of all fields."""
        return super().model_json_schema(
            *args, **{"schema_generator": DocumentJsonSchema, **options}
        )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(handler.resolve_ref_schema(schema))
        return schema


@dataclass(frozen=True)
class Fault:
    """One mistake that a model's validator found.

    Attributes:
        path: where it is, relative to the model.
        message: what is wrong, what was found, and what is allowed.
        code: its stable code, if it is a mistake in meaning.
    """

    path: tuple[str | int, ...]
    message: str
    code: Code | None = None

    def under(self, *path: str | int) -> Fault:
        """The same mistake, seen from a model that holds this one at `path`."""
        return replace(self, path=(*path, *self.path))


@dataclass(frozen=True)
class Faults:
    """Several mistakes that a model's validator found."""

    found: Sequence[Fault]

    def error(self) -> PydanticCustomError:
        """The error for the validator to raise; each mistake is shown at its own place."""
        lines = (
            ": ".join(filter(None, (".".join(map(str, f.path)), f.message))) for f in self.found
        )
        return PydanticCustomError("faults", "; ".join(lines), {"faults": tuple(self.found)})


def fault(message: str, *path: str | int, code: Code | None = None) -> PydanticCustomError:
    """The error for a validator to raise: a mistake at `path`, relative to what it validates."""
    return Faults([Fault(path, message, code)]).error()


def validate(model: type[M], source: Source) -> M:
    """The document as a model.

    Raises:
        SpecError: it does not fit the model; the error lists every mistake.
    """
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        raise SpecError(*explain(error, model, source)) from None


def load_model(
    model: type[M], path: str | Path, overrides: Sequence[str] = (), *, allow_outside: bool = False
) -> M:
    """Reads a YAML or JSON file into a model.

    The document may extend another (`extends`) and give values names (`let`); see `composed`.

    Args:
        model: the model; where its `version` has no default, the version is checked first.
        path: the file.
        overrides: assignments such as `training.epochs=5` (see `resolve.override`).
        allow_outside: whether it may extend files outside its own folder and what is below.

    Raises:
        SpecError: the file cannot be read, an override is malformed, or the result does not fit the
            model.
    """
    return validate(model, read_document(model, path, overrides, allow_outside=allow_outside))


def loads_model(
    model: type[M],
    text: str,
    name: str = "<string>",
    overrides: Sequence[str] = (),
    *,
    allow_outside: bool = False,
) -> M:
    """Reads text into a model; `name` stands for the file in error messages.

    It extends files from the current folder.

    Raises:
        SpecError: see `load_model`.
    """
    source = parse_source(text, name)
    version = _version(model)
    return validate(
        model, composed(source, None, overrides, version=version, allow_outside=allow_outside)
    )


def read_document(
    model: type[BaseModel],
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    allow_outside: bool = False,
) -> Source:
    """A file as `load_model` validates it: composed, but not validated.

    Raises:
        SpecError: see `load_model`.
    """
    source, version = read_source(path), _version(model)
    return composed(source, path, overrides, version=version, allow_outside=allow_outside)


def _version(model: type[BaseModel]) -> int | None:
    """The version that documents of this model must have, if they must have one."""
    field = model.model_fields.get("version")
    return max(get_args(field.annotation)) if field is not None and field.is_required() else None
