"""The command line of the language: `augspec check`, `layout`, `ops`, `schema`."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.table import Table

from augspec import __version__
from augspec.compiler.plan import make_plan
from augspec.language.diagnostics import Diagnostic, SpecError, nearest
from augspec.language.files import write_atomically
from augspec.language.schema import spec_schema
from augspec.language.spec import load
from augspec.ops import OPS

app = App(name="augspec", help="Typed augmentation specs.", version=__version__)

Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", consume_multiple=False, negative=""),
]


@app.command
def check(*paths: Path) -> int:
    """Check specs, and print every mistake with its place.

    Args:
        paths: YAML or JSON files, and folders whose YAML and JSON files are checked.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        print("augspec check: no files to check", file=sys.stderr)
        return 2
    wrong = 0
    for file in files:
        try:
            spec = load(file)
        except SpecError as error:
            print(error, file=sys.stderr)
            wrong += 1
        else:
            widths = ", ".join(f"{v.name} {v.layout.width}" for v in make_plan(spec).views)
            print(f"{file}: ok ({spec.name}; columns: {widths})")
    return 2 if wrong else 0


@app.command
def layout(path: Path, *, set_: Overrides = None, as_json: bool = False) -> int:
    """Show the columns of every view's code.

    Args:
        path: the spec.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        as_json: print plain data instead of tables.
    """
    views = make_plan(load(path, set_ or [])).views
    if as_json:
        print(json.dumps({v.name: v.layout.document() for v in views}, indent=2))
    else:
        print("\n\n".join(v.layout.describe() for v in views))
    return 0


@app.command
def ops(name: str | None = None) -> int:
    """List the ops, or show one with its fields.

    Args:
        name: the op to show.
    """
    console = Console(markup=False)  # the documentation writes intervals in brackets
    if name is None:
        table = Table("op", "what it does", "parameters", box=None)
        for tag, op in OPS.items():
            parameters = ", ".join(p.name for p in op().parameters()) or "none"
            table.add_row(tag, _summary(op), parameters)
        console.print(table)
        return 0
    if name not in OPS:
        guess = nearest(name, OPS)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise SpecError(Diagnostic(None, f"unknown op {name!r}{hint} (ops: {', '.join(OPS)})"))
    op = OPS[name]
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(op) or "").split("\n\n")]
    console.print(f"{name}: " + "\n\n".join(paragraphs) + "\n")
    columns = Table("field", "default", "what it is", box=None)
    defaults = op().model_dump(mode="json")
    for field, info in op.model_fields.items():
        if field != "op":
            columns.add_row(field, json.dumps(defaults[field]), info.description or "")
    console.print(columns)
    console.print()
    rows = Table("parameter", "unit", "identity", "codec", "gradient", box=None)
    for p in op().parameters():
        gradient = "yes" if p.differentiable else "no"
        rows.add_row(p.name, p.unit, f"{p.identity:g}", p.codec.name, gradient)
    if op().parameters():
        console.print(rows)
    return 0


@app.command
def schema(*, write: Path | None = None) -> int:
    """Print the JSON Schema of specs, for editors.

    Args:
        write: the file to write it to instead.
    """
    text = json.dumps(spec_schema(), indent=2) + "\n"
    if write is None:
        print(text, end="")
    else:
        write_atomically(write, text)
    return 0


def _summary(op: type[Any]) -> str:
    return (op.__doc__ or "").split("\n", 1)[0].split(", as ", 1)[0].rstrip(".")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json"))


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends it with status 2 and no traceback."""
    try:
        status = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        status = 2  # cyclopts has printed what is wrong
    except SpecError as error:
        print(error, file=sys.stderr)
        status = 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    sys.exit(status or 0)
