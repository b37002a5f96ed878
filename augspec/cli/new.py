"""`augspec new`: a spec of one's own, begun from a published recipe."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augspec.cli.common import mistake, unknown
from augspec.cli.recipes import recipes, schema_file
from augspec.compiler.flow import block
from augspec.language.files import write_atomically
from augspec.language.spec import load

_SCHEMA_LINE = re.compile(r"^(# yaml-language-server: \$schema=|# \$schema: ).*\n", re.MULTILINE)
"""The two comments by which editors find the schema of a file."""
_EXTENDS = re.compile(r"^extends:", re.MULTILINE)


def new(
    name: str | None = None,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
) -> int:
    """Begin a spec from a published recipe, comments included; without a name, list the recipes.

    Args:
        name: the recipe.
        output: the file to write; NAME.yaml in this folder by default. It must not exist.
    """
    known = recipes()
    if not known:
        raise mistake("no recipes found beside the installed package")
    if name is None:
        width = max(map(len, known))
        for recipe, file in known.items():
            print(f"{recipe:<{width}}  {_title(load(file).description)}")
        return 0
    if name not in known:
        raise unknown("recipe", name, known)
    target = output or Path(f"{name}.yaml")
    if target.exists():
        raise mistake(f"{target} exists already; name another file with -o")
    write_atomically(target, _moved(_alone(known[name]), target))
    print(f"{target}: begun from {name}; see what it does: augspec preview {target} -o {name}.png")
    return 0


def _alone(recipe: Path) -> str:
    """The text of a recipe; of one that extends another, what both say, since it moves alone."""
    text = recipe.read_text(encoding="utf-8")
    if not _EXTENDS.search(text):
        return text
    return "".join(line[0] for line in _SCHEMA_LINE.finditer(text)) + block(load(recipe).document())


def _moved(text: str, target: Path) -> str:
    """The recipe with the comments by which editors find the schema, as seen from `target`."""
    schema = schema_file()
    if schema is None:
        return _SCHEMA_LINE.sub("", text)
    try:
        path = Path(os.path.relpath(schema.resolve(), target.parent.resolve())).as_posix()
    except ValueError:  # another drive
        path = schema.resolve().as_uri()
    return _SCHEMA_LINE.sub(lambda line: f"{line[1]}{path}\n", text)


def _title(description: str) -> str:
    """What the description begins with, up to its sources."""
    return re.split(r" \(|[.,:;](?: |$)", " ".join(description.split()), maxsplit=1)[0]
