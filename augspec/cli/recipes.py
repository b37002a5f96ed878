"""Where the published recipes and their JSON Schema lie: in a checkout or an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
PLACES = (
    (PACKAGE.parent / "specs" / "augmentations", PACKAGE.parent / "specs" / "schema"),
    (PACKAGE / "recipes", PACKAGE / "schema"),
)
SCHEMA = "augspec.schema.json"


def recipes() -> dict[str, Path]:
    """The published recipes by name."""
    for folder, _ in PLACES:
        found = {file.stem: file for file in folder.glob("*.yaml")}
        if found:
            return dict(sorted(found.items()))
    return {}


def schema_file() -> Path | None:
    """The JSON Schema that came with the package, if it did."""
    files = (folder / SCHEMA for _, folder in PLACES)
    return next((file for file in files if file.is_file()), None)
