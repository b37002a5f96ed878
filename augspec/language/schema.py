"""The JSON Schema of specs: completion, hover text and squiggles in editors."""

from __future__ import annotations

from typing import Any

from augspec.language.spec import Spec


def spec_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a spec document; editors find it by its comment line."""
    schema = Spec.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augspec, version 1",
        **{key: value for key, value in schema.items() if key != "title"},
    }
